"""
Capture a training at a boundary, and continue it from there as if nothing had happened.

A boundary is the beginning of a rollout, and the moment after ``learn`` has returned. Capturing and restoring come
last among the callbacks, since others may use random numbers at a boundary.

Each part is restored once, at one of two moments. Before ``learn``, :func:`restore_before_learn` sets what ``learn``
counts on from. ``learn`` then resets the environments and starts its callbacks as in any other training. At its first
boundary, :func:`restore_at_boundary` sets everything that this has changed. Weights, optimizers, the statistics of
``VecNormalize`` and the replay buffer are the bundle's: see :mod:`sb3_ext.checkpoints.restoration`.
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

    :param model: at a boundary
    :param callbacks: those of ``learn``
    :param exactness: what :func:`sb3_ext.vec.snapshots.exactness.self_test` has found out; without it, every
        environment that can be saved is believed to be exact
    :param after_learn: ``learn`` has returned, rather than a rollout is beginning
    :return: the copy; its ``exactness`` says whether the environments are in it
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
    Set what ``learn`` starts from.

    :param model: made as the captured one was, with new environments, and with the bundle's weights, optimizers,
        statistics and replay buffer
    :param state: what was captured
    """
    # After ``load`` it would be a copy; environments that are stepped in this process share it with the model.
    model.action_space = environment_state.get_environment(model).action_space
    algorithm_state.restore_algorithm(model, state)
    rollout_state.forget_observations(model)
    environment_state.seed_new_episodes(model)
    monitor_state.restore_monitor_files(model, state)


def restore_at_boundary(
    model: BaseAlgorithm, state: CapturedState, callbacks: BaseCallback | Sequence[BaseCallback] = ()
) -> None:
    """
    Set everything else, once ``learn`` and the other callbacks have done whatever they do until the first step.

    :param model: at the first boundary of ``learn``, after :func:`restore_before_learn`
    :param state: what was captured; if the environments do not fit, its ``exactness`` says so from now on
    :param callbacks: those of ``learn``
    :raises CheckpointError: if ``learn`` was called without ``reset_num_timesteps=False``, or the environments are
        others than those that were captured
    """
    expected_steps = state.values["algorithm"]["counters"]["num_timesteps"]
    if model.num_timesteps != expected_steps:
        raise CheckpointError(
            f"the run resumes at step {expected_steps}, but learn has started at step {model.num_timesteps}:"
            " call learn(total - model.num_timesteps, reset_num_timesteps=False)"
        )
    algorithm_state.restore_threads(state)
    algorithm_state.restore_clock(model, state)
    algorithm_state.restore_schedules(model, state)
    environment_state.restore_environment(model, state)
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
