"""Play some episodes and compute their statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any

import numpy as np

from sb3_ext.evaluation.episode_loop import MAX_STEPS, Episode, play_episodes
from sb3_ext.evaluation.plain_env import AnyEnv
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.reports.intervals import compute_interval95


@dataclass(frozen=True)
class Evaluation:
    """
    Statistics of an evaluation.

    :param episodes: number of episodes
    :param mean_return: mean of the undiscounted returns
    :param std_return: standard deviation of the returns (over n, as in SB3's ``evaluate_policy``)
    :param median_return: median of the returns
    :param ci95: 95 % confidence interval of the mean, by Student's t (over n - 1); ``None`` for one episode
    :param mean_length: mean of the lengths, in steps
    :param success_rate: share of successful episodes among those that report ``is_success``; ``None`` if none does
    :param returns: return of each episode, in the order in which they ended
    :param lengths: length of each episode, in the same order
    :param seed: the seed that repeats this evaluation; ``None`` if it had none
    :param truncated_episodes: number of episodes that the evaluation truncated after ``max_steps``, without those ended
        by a time limit of the environment
    :param right_moves: shares of right moves in solved positions of a game, see
        :meth:`MoveQuality.to_json() <sb3_ext.selfplay.positions.move_quality.MoveQuality.to_json>`; ``None`` if there
        are none
    :param info: by key, numbers that the environment returned in ``info`` at the end of episodes, one for each that did
    """

    episodes: int
    mean_return: float
    std_return: float
    median_return: float
    ci95: tuple[float, float] | None
    mean_length: float
    success_rate: float | None
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    seed: int | None
    truncated_episodes: int = 0
    right_moves: dict[str, Any] | None = None
    info: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def info_means(self) -> dict[str, float]:
        """Mean of each number in ``info``."""
        return {key: fmean(values) for key, values in self.info.items()}

    def to_json(self) -> dict[str, Any]:
        """
        :return: the fields as plain data for strict JSON: lists for tuples, ``None`` for NaN and infinity;
            ``right_moves`` only if it is known
        """
        fields = {name: _to_plain(value) for name, value in asdict(self).items()}
        if self.right_moves is None:
            del fields["right_moves"]
        return fields


def evaluate(
    model: Any,
    env: AnyEnv,
    episodes: int,
    *,
    deterministic: bool = True,
    seed: int | None = None,
    max_steps: int | None = MAX_STEPS,
    info_keys: Sequence[str] = (),
    interruption: Interruption = NEVER,
) -> Evaluation:
    """
    Evaluate a model. Neither the model nor a training in progress is changed.

    :param model: an SB3 algorithm or policy, or an object with a ``predict`` method
    :param env: separate environments; see :func:`~sb3_ext.evaluation.episode_loop.play_episodes`
    :param episodes: number of episodes; positive, and large enough for a narrow confidence interval, such as 100
    :param deterministic: take the most likely action instead of sampling
    :param seed: seed with which the same episodes are repeated; ``None`` for new episodes
    :param max_steps: truncate episodes after this many steps; ``None`` does not truncate
    :param info_keys: numbers in ``info`` at the end of an episode to collect
    :param interruption: checked before each step
    :return: the statistics
    :raises ValueError: if ``episodes`` or ``max_steps`` is not positive
    :raises StopRequested: if ``interruption`` requests it
    """
    played = play_episodes(
        model,
        env,
        episodes,
        deterministic=deterministic,
        seed=seed,
        max_steps=max_steps,
        info_keys=info_keys,
        interruption=interruption,
    )
    return summarize(played, seed=seed)


def summarize(episodes: Iterable[Episode], *, seed: int | None = None) -> Evaluation:
    """
    :param episodes: at least one episode
    :param seed: the seed with which they were played
    :return: their statistics
    """
    played = tuple(episodes)
    returns = tuple(episode.episode_return for episode in played)
    lengths = tuple(episode.length for episode in played)
    successes = [episode.success for episode in played if episode.success is not None]
    return Evaluation(
        episodes=len(played),
        mean_return=fmean(returns),
        std_return=_compute_std(returns),
        median_return=median(returns),
        ci95=compute_interval95(returns),
        mean_length=fmean(lengths),
        success_rate=fmean(successes) if successes else None,
        returns=returns,
        lengths=lengths,
        seed=seed,
        truncated_episodes=sum(episode.truncated for episode in played),
        info=_collect_info(played),
    )


def _collect_info(played: Sequence[Episode]) -> dict[str, tuple[float, ...]]:
    keys = dict.fromkeys(key for episode in played for key in episode.info)
    return {key: tuple(episode.info[key] for episode in played if key in episode.info) for key in keys}


def _compute_std(values: Sequence[float]) -> float:
    with np.errstate(invalid="ignore"):  # an environment's infinite reward gives NaN, not a warning
        return float(np.std(values))


def _to_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _to_plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
