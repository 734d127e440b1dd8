"""Restore a trusted checkpoint into a new training with the same configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.save_util import recursive_getattr

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.replay_files import restore_replay, restore_shared_replay
from sb3_ext.checkpoints.formats.vecnormalize_file import restore_normalization
from sb3_ext.checkpoints.model.trust import list_state_dicts, read_tensors
from sb3_ext.checkpoints.state.algorithm_state import read_engine_id, read_threads
from sb3_ext.checkpoints.state.environment_state import mark_inexact
from sb3_ext.checkpoints.state.random_state import seed_anew
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.checkpoints.state.training_state import restore_at_boundary, restore_before_learn
from sb3_ext.engines.attachment import get_engine_id
from sb3_ext.errors import CheckpointError
from sb3_ext.ranks.placement import RankPlacement

_VARIABLES = "pytorch_variables"


class Restoration:
    """
    Restore a checkpoint into a new training, each part once, in two steps::

        restoration = Restoration(bundle)
        restoration.begin(model)                # then learn(total - model.num_timesteps, reset_num_timesteps=False)
        restoration.finish(model, callbacks)    # in the last callback's first _on_rollout_start

    The first step, before ``learn``, restores weights, optimizers, the statistics of ``VecNormalize``, the replay
    buffer and counters. The second step, in the first rollout, restores what ``learn`` and its callbacks change until
    then: environments, callbacks, logger and random number generators.

    With as many ranks as the checkpoint has, each restores its own part. With another number, they share out the replay
    buffers by environment, begin new episodes, and restore everything else exactly.

    :param bundle: a verified checkpoint from a trusted source: parts of it are pickled
    :param placement: the rank that restores it; ``None`` for a process alone
    :param threads: torch's number of threads from now on, which the caller sets; ``None`` restores the checkpoint's
    :raises CheckpointError: if it has no state for a resume
    """

    def __init__(self, bundle: Bundle, placement: RankPlacement | None = None, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self._placement = placement or RankPlacement(0, 1)
        self._has_own_part = bundle.manifest.ranks == self._placement.size
        self._state = bundle.read_state(self._placement.rank if self._has_own_part else 0)
        if not self._has_own_part:
            reason = f"the checkpoint is of {bundle.manifest.ranks} ranks, and {self._placement.size} train from now on"
            mark_inexact(self._state, f"{reason}; environments begin new episodes")
        self._threads = threads
        self._rounding_reasons: list[str] = []

    @property
    def inexact_reason(self) -> str | None:
        """Why the resume is approximate; ``None`` if it is exact. Final after :meth:`finish`."""
        for is_exact, reason in (
            (self.bundle.manifest.exact, self.bundle.manifest.exact_reason),
            (self._state.exactness.exact, self._state.exactness.reason),
        ):
            if not is_exact:
                return reason
        return "; ".join(self._rounding_reasons) or None

    def begin(self, model: BaseAlgorithm) -> ReplayIndex | None:
        """
        :param model: a new model with its environments, made in the same way as the original one
        :return: see :func:`restore_model`
        :raises CheckpointError: if the model differs from the checkpoint's
        """
        replay = restore_model(model, self.bundle, self._placement)
        restore_before_learn(model, self._state)
        self._rounding_reasons = list(self._find_rounding_reasons(model))
        return replay

    def finish(self, model: BaseAlgorithm, callbacks: BaseCallback | Sequence[BaseCallback]) -> None:
        """
        :param model: the model, at the start of the first rollout of ``learn``
        :param callbacks: the callbacks of ``learn``
        :raises CheckpointError: if the environments differ from the checkpoint's, or ``learn`` was called without
            ``reset_num_timesteps=False``
        """
        restore_at_boundary(model, self._state, callbacks, keep_threads=self._threads is not None)
        if not self._has_own_part and self._placement.rank > 0:
            seed_anew(model, self._placement.rank)  # not with the generators of rank 0

    def _find_rounding_reasons(self, model: BaseAlgorithm) -> Iterator[str]:
        engine, now = read_engine_id(self._state), get_engine_id(model)
        if engine != now:
            yield f"the engine {engine} has computed the updates until now, and {now} does from now on"
        threads = read_threads(self._state)
        if self._threads not in (None, threads):
            yield f"torch has used {threads} threads until now, and uses {self._threads} from now on"


def restore_model(model: BaseAlgorithm, bundle: Bundle, placement: RankPlacement | None = None) -> ReplayIndex | None:
    """
    Restore weights, optimizers, normalisation statistics and replay buffer exactly.

    :param model: a new model with its environments, made in the same way as the bundle's
    :param bundle: a verified checkpoint from a trusted source: HER's info dictionaries are pickled
    :param placement: the rank that restores it; ``None`` for a process alone
    :return: index for ``BundleWriter.continue_from``; ``None`` without a replay buffer, or if it is shared out anew
    :raises CheckpointError: if the model or its environments differ from the checkpoint's
    """
    trained = bundle.manifest.model.algorithm_class.rpartition(".")[2]
    if trained != type(model).__name__:
        raise CheckpointError(f"checkpoint {bundle.path} is of a {trained}, but the model is a {type(model).__name__}")
    _restore_parameters(model, bundle)
    normalize, statistics = model.get_vec_normalize_env(), bundle.read_normalization()
    if (normalize is None) != (statistics is None):
        has, lacks = ("checkpoint", "model") if normalize is None else ("model", "checkpoint")
        raise CheckpointError(
            f"checkpoint {bundle.path} does not fit: the {has} has a VecNormalize, the {lacks} has none"
        )
    if normalize is not None and statistics is not None:
        restore_normalization(normalize, statistics)
    buffer = getattr(model, "replay_buffer", None)
    if buffer is None or not bundle.has_replay:
        return None
    placement = placement or RankPlacement(0, 1)
    if bundle.manifest.ranks == placement.size:
        return restore_replay(buffer, bundle.get_part_path(placement.rank))
    folders = [bundle.get_part_path(rank) for rank in range(bundle.manifest.ranks)]
    restore_shared_replay(buffer, folders, placement.rank * buffer.n_envs)
    return None


def _restore_parameters(model: BaseAlgorithm, bundle: Bundle) -> None:
    path = bundle.model_path
    parameters: dict[str, Any] = {name: read_tensors(path, name) for name in list_state_dicts(path)}
    variables = parameters.pop(_VARIABLES, {})
    try:
        model.set_parameters(parameters, exact_match=True, device=model.device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint {bundle.path} does not fit the model: {reason}") from error
    for name, variable in variables.items():
        # In place: SAC's optimizer of the entropy coefficient keeps a reference to this tensor.
        recursive_getattr(model, name).data.copy_(variable.data)
