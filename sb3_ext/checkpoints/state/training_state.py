"""
Capture a training at a boundary, and restore it exactly.

A boundary is the beginning of a rollout, or the time after ``learn`` has returned. Capture and restore after all other
callbacks, since they may draw random numbers at a boundary.

Each part is restored once. Before ``learn``, :func:`restore_before_learn` restores the counters. ``learn`` then resets
the environments and starts its callbacks as in any other training. At the first boundary, :func:`restore_at_boundary`
restores everything that this has changed. For weights, optimizers, the statistics of ``VecNormalize`` and the replay
buffer, see :mod:`sb3_ext.checkpoints.restoration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.checkpoints.state import (
    algorithm_state,
    callback_state,
    environment_state,
    logger_state,
    monitor_state,
    random_state,
    rollout_state,
)
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError
from sb3_ext.vec.snapshots.exactness import Exactness


def capture_state(
    model: BaseAlgorithm,
    callbacks: BaseCallback | Sequence[BaseCallback] = (),
    *,
    exactness: Exactness | None = None,
    after_learn: bool = False,
) -> CapturedState:
    """
    Copy what an exact resume needs. Changes nothing, and draws no random numbers.

    :param model: the model, at a boundary
    :param callbacks: the callbacks of ``learn``
    :param exactness: result of :func:`sb3_ext.vec.snapshots.exactness.self_test`; ``None`` assumes that all
        environments whose state can be saved are restored exactly
    :param after_learn: whether ``learn`` has returned; otherwise a rollout begins
    :return: the copy; its ``exactness`` tells whether the environments were captured
    :raises CheckpointError: if the state of a callback cannot be saved
    """
    state = CapturedState()
    state.values["after_learn"] = after_learn
    algorithm_state.capture_algorithm(model, state)
    rollout_state.capture_rollout(model, state)
    environment_state.capture_environment(model, state, exactness)
    monitor_state.capture_monitor_files(model, state)
    logger_state.capture_logger(model, state)
    callback_state.capture_callbacks(callbacks, state)
    random_state.capture_random(model, state)
    return state


def restore_before_learn(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Restore what must be set before ``learn``.

    :param model: made in the same way as the captured one, with new environments, after its weights, optimizers,
        statistics and replay buffer were restored
    :param state: the captured state
    """
    # After ``load``, the action space is a copy; environments that are stepped in this process share it with the model.
    model.action_space = environment_state.get_environment(model).action_space
    algorithm_state.restore_algorithm(model, state)
    rollout_state.forget_observations(model)
    environment_state.seed_new_episodes(model)
    monitor_state.restore_monitor_files(model, state)


def restore_at_boundary(
    model: BaseAlgorithm,
    state: CapturedState,
    callbacks: BaseCallback | Sequence[BaseCallback] = (),
    *,
    keep_threads: bool = False,
) -> None:
    """
    Restore everything else. Call this after the other callbacks, before the first step.

    :param model: the model at the first boundary of ``learn``, after :func:`restore_before_learn`
    :param state: the captured state; if the environments do not fit, its ``exactness`` becomes inexact
    :param callbacks: the callbacks of ``learn``
    :param keep_threads: keep torch's number of threads instead of restoring the captured one
    :raises CheckpointError: if ``learn`` was called without ``reset_num_timesteps=False``, or the environments differ
        from the captured ones
    """
    expected_steps = state.values["algorithm"]["counters"]["num_timesteps"]
    if model.num_timesteps != expected_steps:
        raise CheckpointError(
            f"the run resumes at step {expected_steps}, but learn has started at step {model.num_timesteps}:"
            " call learn(total - model.num_timesteps, reset_num_timesteps=False)"
        )
    if not keep_threads:
        algorithm_state.restore_threads(state)
    algorithm_state.restore_clock(model, state)
    algorithm_state.restore_schedules(model, state)
    were_changed = callback_state.prepare_environments(callbacks, state)
    environment_state.restore_environment(model, state, were_changed=were_changed)
    rollout_state.restore_exploration(model, state)
    logger_state.restore_logger(model, state)
    callback_state.restore_callbacks(callbacks, state)
    random_state.restore_random(model, state)
    if state.values["after_learn"]:
        _begin_rollout(model)


def _begin_rollout(model: Any) -> None:
    """Draw again, from the restored generators, what SB3 draws between two rollouts."""
    if model.use_sde:
        getattr(model, "actor", model.policy).reset_noise(model.n_envs)
