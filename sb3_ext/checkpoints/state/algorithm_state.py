"""Counters, clock, threads and schedules of an algorithm, and the weights of ARS."""

from __future__ import annotations

import logging
import pickle
import time
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.engines.attachment import get_engine_id
from sb3_ext.internals.sb3 import (
    get_counters,
    set_counters,
    set_episode_statistics,
    set_steps_at_start,
)

logger = logging.getLogger(__name__)

_STEPS_AT_START = "_num_timesteps_at_start"
_WEIGHTS = "variables/weights"


def capture_algorithm(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    """
    state.values["algorithm"] = {
        "counters": {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in get_counters(model).items()
        },
        "elapsed_seconds": (time.time_ns() - model.start_time) / 1e9,
        "engine": get_engine_id(model),
        "threads": torch.get_num_threads(),
        "schedules": _list_replaced_schedules(model),
    }
    state.blobs["episodes"] = pickle.dumps((list(model.ep_info_buffer or ()), list(model.ep_success_buffer or ())))
    weights = _get_weights(model)
    if weights is not None:
        state.put_array(_WEIGHTS, weights.detach().cpu().numpy())


def read_engine_id(state: CapturedState) -> str:
    """
    :param state: the captured state
    :return: the name of the engine that updated the model
    """
    engine_id: str = state.values["algorithm"]["engine"]
    return engine_id


def restore_algorithm(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    :param model: made in the same way as the captured one, before ``learn``
    :param state: the captured state
    """
    # restore_clock() restores the steps at the beginning of ``learn``, since ``learn`` sets them.
    counters = state.values["algorithm"]["counters"]
    set_counters(model, {name: value for name, value in counters.items() if name != _STEPS_AT_START})
    episodes, successes = pickle.loads(state.blobs["episodes"])
    set_episode_statistics(model, episodes, successes)
    weights = _get_weights(model)
    if weights is not None:
        weights.data.copy_(torch.from_numpy(state.get_array(_WEIGHTS)))


def restore_clock(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Restore the time and steps from which SB3 computes frames per second, and which ``learn`` has reset.

    :param model: the model, while ``learn`` runs
    :param state: the captured state
    """
    captured = state.values["algorithm"]
    model.start_time = time.time_ns() - int(captured["elapsed_seconds"] * 1e9)
    set_steps_at_start(model, captured["counters"][_STEPS_AT_START])


def read_threads(state: CapturedState) -> int:
    """
    :param state: the captured state
    :return: the number of torch threads of the training
    """
    threads: int = state.values["algorithm"]["threads"]
    return threads


def restore_threads(state: CapturedState) -> None:
    """
    Use the same number of torch threads, since the rounding of sums depends on it.

    :param state: the captured state
    """
    threads = read_threads(state)
    if threads != torch.get_num_threads():
        logger.info("torch uses %d threads, as before the resume, instead of %d", threads, torch.get_num_threads())
        torch.set_num_threads(threads)


def restore_schedules(model: Any, state: CapturedState) -> None:
    """
    :param model: made in the same way as the captured one
    :param state: the captured state
    """
    schedules = state.values["algorithm"]["schedules"]
    if "lr_schedule" in schedules:
        model.lr_schedule = FloatSchedule(schedules["lr_schedule"])
    if "exploration_schedule" in schedules:
        model.exploration_schedule = ConstantSchedule(schedules["exploration_schedule"])


def _get_weights(model: BaseAlgorithm) -> torch.Tensor | None:
    """:return: the weights of ARS, which SB3-Contrib does not save; ``None`` for other algorithms"""
    weights = getattr(model, "weights", None)
    return weights if isinstance(weights, torch.Tensor) else None


def _list_replaced_schedules(model: Any) -> dict[str, float]:
    """:return: constants with which callbacks have replaced schedules of the model, by attribute"""
    learning_rate = _get_constant(model.lr_schedule)
    exploration_rate = _get_constant(getattr(model, "exploration_schedule", None))
    return {
        **({} if learning_rate in (None, model.learning_rate) else {"lr_schedule": learning_rate}),
        **({} if exploration_rate is None else {"exploration_schedule": exploration_rate}),
    }


def _get_constant(schedule: object) -> float | None:
    while isinstance(schedule, FloatSchedule):
        schedule = schedule.value_schedule
    return float(schedule.val) if isinstance(schedule, ConstantSchedule) else None
