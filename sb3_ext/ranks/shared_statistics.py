"""Merge the running statistics of the ranks' ``VecNormalize``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.ranks.rank_group import RankGroup

Vector = NDArray[np.float64]


class SharedStatistics:
    """
    Merges what each rank has added to its statistics since the last merge, weighted by the number of values.

    Adding whole statistics would count the common past once for each rank. Sums are relative to the mean at the last
    merge, so that they are exact also if means are large.

    :param normalize: wrapper of this rank's environments, with the same statistics as on all other ranks
    """

    def __init__(self, normalize: VecNormalize) -> None:
        self._normalize = normalize
        self._base: list[tuple[Vector, Vector, float]] = []
        self.begin()

    def begin(self) -> None:
        """Count from the present statistics on. Call this also after they have been restored."""
        self._base = [
            (np.array(found.mean, np.float64), np.array(found.var, np.float64), float(found.count))
            for found in list_statistics(self._normalize)
        ]

    def synchronize(self, group: RankGroup) -> None:
        """
        Make the statistics of all ranks equal at the start of training, after their environments were reset.

        New statistics are merged. Others, for example those of a saved ``VecNormalize``, are replaced by rank 0's.

        :param group: the ranks
        """
        fresh = RunningMeanStd()
        for place, found in enumerate(list_statistics(self._normalize)):
            if found.count <= fresh.count + self._normalize.num_envs:
                base = np.zeros_like(found.mean), np.ones_like(found.var), float(fresh.count)
            else:
                found.mean, found.var, found.count = base = group.share(self._base[place])
            self._base[place] = base
        additions = torch.from_numpy(self.compute_additions())
        group.sum(additions)
        self.merge(additions.numpy())

    def compute_additions(self) -> Vector:
        """
        :return: what was added since the last merge, as one array; the sum over all ranks is for :meth:`merge`
        """
        parts: list[Any] = []
        for found, (mean, variance, count) in zip(list_statistics(self._normalize), self._base, strict=True):
            shift = found.mean - mean
            squares = found.count * (found.var + shift**2) - count * variance
            parts += [[found.count - count], np.ravel(found.count * shift), np.ravel(squares)]
        return np.concatenate(parts)

    def merge(self, additions: Vector) -> None:
        """
        Replace the statistics by those of all ranks.

        :param additions: sum of the additions of all ranks
        """
        place = 0
        for found, (mean, variance, count) in zip(list_statistics(self._normalize), self._base, strict=True):
            size = mean.size
            added = float(additions[place])
            sums, squares = additions[place + 1 : place + 1 + 2 * size].reshape(2, *mean.shape)
            place += 1 + 2 * size
            if added > 0:
                total = count + added
                shift = sums / total
                found.mean = mean + shift
                found.var = np.maximum((count * variance + squares) / total - shift**2, 0.0)
                found.count = total
        self.begin()


def list_statistics(normalize: VecNormalize) -> list[Any]:
    """
    :param normalize: the wrapper
    :return: its ``RunningMeanStd`` objects, always in the same order
    """
    observations: Any = getattr(normalize, "obs_rms", {}) if normalize.norm_obs else {}
    named = observations if isinstance(observations, dict) else {"": observations}
    return [*(named[key] for key in sorted(named)), normalize.ret_rms]
