"""Restore environments within their episodes, or reset them if they cannot be restored."""

from __future__ import annotations

from dataclasses import asdict, replace

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.rollout_state import restore_observations
from sb3_ext.internals.sb3 import reset_environments
from sb3_ext.vec.snapshots.exactness import Exactness
from sb3_ext.vec.snapshots.layer_snapshots import OtherEnvironmentError, SnapshotError
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

_SNAPSHOT = "environment"
_DIVIDED_ANEW = (
    "the environments are in other processes than before, and may draw from the random number generators that those of"
    " a process share"
)


def capture_environment(model: BaseAlgorithm, state: CapturedState, exactness: Exactness | None) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    :param exactness: result of a self-test of these environments; ``None`` without one
    """
    if not isinstance(model, OnPolicyAlgorithm | OffPolicyAlgorithm):
        exactness = Exactness(False, f"{type(model).__name__} has no point between two rollouts to resume from")
    elif exactness is None or exactness.exact:
        try:
            state.blobs[_SNAPSHOT] = get_vec_snapshot(get_environment(model))
        except SnapshotError as error:
            exactness = Exactness(False, str(error))
    exactness = exactness or Exactness(True, "the environments were saved with their state")
    _put_exactness(state, exactness)


def _put_exactness(state: CapturedState, exactness: Exactness) -> None:
    state.values["environment"] = asdict(exactness)


def mark_inexact(state: CapturedState, reason: str) -> None:
    """
    Begin new episodes instead of restoring the environments.

    :param state: the captured state
    :param reason: why they cannot be restored
    """
    _put_exactness(state, replace(state.exactness, exact=False, reason=reason))


def seed_new_episodes(model: BaseAlgorithm) -> None:
    """
    Seed the next reset so that it does not repeat the first episodes of the run.

    :param model: the model, at the step from which it resumes
    """
    if model.seed is not None:
        get_environment(model).seed((model.seed + model.num_timesteps) % 2**31)


def restore_environment(model: BaseAlgorithm, state: CapturedState, *, were_changed: bool = False) -> None:
    """
    Restore the environments, also in more or fewer processes than before. If their wrappers differ, for example in a
    checkpoint of an earlier version, begin new episodes.

    :param model: the model at the beginning of a rollout, with environments that were reset
    :param state: the captured state; if the environments do not fit, its ``exactness`` becomes inexact
    :param were_changed: whether the environments were changed after their reset; new episodes then begin once more
    :raises OtherEnvironmentError: if the environments themselves differ, not only their wrappers
    """
    if not state.exactness.exact:
        if were_changed:
            seed_new_episodes(model)
            reset_environments(model)
        return
    try:
        has_generators = set_vec_snapshot(get_environment(model), state.blobs[_SNAPSHOT])
    except OtherEnvironmentError:
        raise
    except SnapshotError as error:
        _put_exactness(state, replace(state.exactness, exact=False, reason=str(error)))
        seed_new_episodes(model)  # some of the environments may have been restored
        reset_environments(model)
    else:
        restore_observations(model, state)
        if state.exactness.uses_global_random and not has_generators:
            _put_exactness(state, replace(state.exactness, exact=False, reason=_DIVIDED_ANEW))


def get_environment(model: BaseAlgorithm) -> VecEnv:
    """
    :param model: a model that trains
    :return: its environments
    """
    env = model.get_env()
    assert env is not None, "the model has no environments"
    return env
