"""Choose the engine that updates a model: the configured one if it supports the model, or the faster one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch

from sb3_ext.algorithms.threads import NetworkCost, count_steps_per_minibatch, measure_network
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine import Update
from sb3_ext.engines.engine_registry import AUTO_ENGINE, TORCH_ENGINE, get_engine

logger = logging.getLogger(__name__)

_FAST = "xla"
_TOO_SHORT = "this training is too short for %s, which has to be compiled first"
_MIN_MINIBATCHES = 2000
_MIN_SECONDS = 8.0  # duration of torch's updates from which compiling, which takes about 3 seconds, saves time
# SB3's train takes at least this many times as long as the measured passes through the network, because of minibatches,
# losses, clipping and optimizer steps.
_TORCH_OVERHEAD = 1.5


@dataclass(frozen=True)
class EngineChoice:
    """
    The engine chosen for a model.

    :param engine_id: name of the engine
    :param update: replacement of ``train``; ``None`` to keep ``train``
    """

    engine_id: str
    update: Update | None


_STOCK = EngineChoice(TORCH_ENGINE, None)


def choose_engine(engine_id: str, model: Any, *, num_steps: float, threads: int | str = AUTO_ENGINE) -> EngineChoice:
    """
    Choose the engine that updates a model, and log why.

    :param engine_id: name of an engine, or ``auto``. That chooses XLA if it is installed, supports the model, is faster
        in a test of some milliseconds, and saves more time than compiling takes; otherwise torch
    :param model: the model, ready to learn, which is not changed
    :param num_steps: approximate number of environment transitions of the training
    :param threads: number of torch threads in the training, or ``auto``
    :return: the chosen engine; torch if the given engine does not support the model
    :raises ConfigError: if there is no such engine
    :raises MissingExtraError: if the engine is not installed
    """
    if engine_id == AUTO_ENGINE:
        return _choose_faster(model, num_steps, threads)
    engine = get_engine(engine_id)
    engine.validate_installed()
    try:
        update = engine.make_update(model)
    except NotCovered as error:
        logger.warning("engine: torch, since %s cannot update this model: %s", engine_id, error.reason)
        return _STOCK
    logger.info("engine: %s", engine_id)
    return EngineChoice(engine_id, update)


def _choose_faster(model: Any, num_steps: float, threads: int | str) -> EngineChoice:
    num_calls = num_steps / model.n_envs
    if num_calls / count_steps_per_minibatch(model) < _MIN_MINIBATCHES:
        logger.debug("engine: torch; this training is too short to compile for")
        return _STOCK
    engine = get_engine(_FAST)
    if not engine.is_installed():
        return _explain("%s, which may be faster, is not installed: pip install 'sb3-ext[%s]'", _FAST, engine.extra)
    try:
        update = engine.make_update(model)
    except NotCovered as error:
        return _explain("%s cannot update this model: %s", _FAST, error.reason)
    assert update is not None, "it replaces train"
    costs = _measure_torch(model, threads)
    if _TORCH_OVERHEAD * costs.update_seconds_per_step * num_calls < _MIN_SECONDS:
        return _explain("this training is too short for %s, which has to be compiled first", _FAST)
    stock_seconds, seconds = _TORCH_OVERHEAD * costs.minibatch_seconds, update.measure()
    if seconds >= stock_seconds:
        return _explain("%s takes %.2f ms a minibatch, torch about %.2f", _FAST, 1e3 * seconds, 1e3 * stock_seconds)
    logger.info("engine: %s takes %.2f ms a minibatch, torch about %.2f", _FAST, 1e3 * seconds, 1e3 * stock_seconds)
    return EngineChoice(_FAST, update)


def _measure_torch(model: Any, threads: int | str) -> NetworkCost:
    candidates = [threads] if isinstance(threads, int) else sorted({1, torch.get_num_threads()})
    return min((measure_network(model, count, 0.1) for count in candidates), key=lambda cost: cost.minibatch_seconds)


def _explain(reason: str, *values: Any) -> EngineChoice:
    logger.info(f"engine: torch; {reason}", *values)
    return _STOCK
