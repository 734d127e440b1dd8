"""Choose the engine that updates a model: the configured one if it supports the model, or the fastest one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from sb3_ext.algorithms.threads import NetworkPasses, count_steps_per_minibatch, using_threads
from sb3_ext.engines.averaged_training import AveragedTraining
from sb3_ext.engines.clock import read_clock
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine import Engine, Update
from sb3_ext.engines.engine_registry import AUTO_ENGINE, STOCK_ENGINE, TORCH_ENGINE, XLA_ENGINE, get_engine
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.ranks.rank_group import RankGroup

logger = logging.getLogger(__name__)

_MIN_MINIBATCHES = 500  # below, the test takes about as long as a faster engine saves
_MIN_SECONDS = 8.0  # duration of stock updates from which compiling, which takes about 3 seconds, saves time
# SB3's train takes at least this many times as long as the measured passes through the network, because of minibatches,
# losses, clipping and optimizer steps.
_STOCK_OVERHEAD = 1.5
# The test of XLA measures up to 40 % less than a call of a single small step takes in a training, with colder caches.
_XLA_MARGIN = 0.7
_STOCK_SECONDS = 0.05  # duration of one measurement of stock, of which there are several
_PLAUSIBLE_FACTOR = 5.0  # an engine that is slower or faster than stock by more is measured again


@dataclass(frozen=True)
class EngineChoice:
    """
    The engine chosen for a model.

    :param engine: the engine
    :param update: replacement of ``train``; ``None`` to keep ``train``
    """

    engine: Engine
    update: Update | None


def choose_engine(engine_id: str, model: Any, *, num_steps: float) -> EngineChoice:
    """
    Choose the engine that updates a model, and log why.

    :param engine_id: name of an engine, or ``auto``. That chooses XLA if it is installed, supports the model, is the
        fastest in a test of some milliseconds, and saves more time than compiling takes; otherwise torch if it
        supports the model and is faster than stock in the test; stock otherwise, and for short trainings
    :param model: the model, ready to learn, which is not changed
    :param num_steps: approximate number of environment transitions of the training
    :return: the chosen engine; torch if the given engine does not support the model. With torch, a model that it does
        not support keeps ``train``
    :raises ConfigError: if there is no such engine
    :raises MissingExtraError: if the engine is not installed
    """
    if engine_id == AUTO_ENGINE:
        return _choose_fastest(model, num_steps)
    engine = get_engine(engine_id)
    engine.validate_installed()
    try:
        update = engine.make_update(model)
    except NotCovered as error:
        return _fall_back(model, engine_id, error.reason)
    logger.info("engine: %s", engine_id)
    return EngineChoice(engine, update)


def choose_rank_engine(engine_id: str, model: Any, group: RankGroup) -> EngineChoice:
    """
    Choose the engine that updates a model which several ranks train: torch, unless it is stock.

    :param engine_id: name of an engine, or ``auto``
    :param model: the model, ready to learn
    :param group: the ranks
    :return: the engine, with an update that averages gradients over the ranks
    """
    if engine_id not in (AUTO_ENGINE, STOCK_ENGINE, TORCH_ENGINE):
        logger.info("engine: torch, since %s does not average gradients over ranks", engine_id)
    engine = get_engine(STOCK_ENGINE if engine_id == STOCK_ENGINE else TORCH_ENGINE)
    try:
        update = engine.make_update(model)
    except NotCovered as error:
        logger.info("engine: torch with SB3's own train: %s", error.reason)
        update = None
    if isinstance(update, TorchUpdate):
        update.average_over(group)
        return EngineChoice(engine, update)
    return EngineChoice(engine, AveragedTraining(model, group))


def _fall_back(model: Any, engine_id: str, reason: str) -> EngineChoice:
    """:return: torch, for a model that another engine, or torch itself, does not support"""
    engine, update, name = get_engine(TORCH_ENGINE), None, "torch with SB3's own train"
    if engine_id != TORCH_ENGINE:
        with suppress(NotCovered):
            update, name = engine.make_update(model), "torch"
    logger.warning("engine: %s, since %s cannot update this model: %s", name, engine_id, reason)
    return EngineChoice(engine, update)


def _choose_fastest(model: Any, num_steps: float) -> EngineChoice:
    choice = EngineChoice(get_engine(STOCK_ENGINE), None)
    minibatches = num_steps / model.n_envs / count_steps_per_minibatch(model)
    if minibatches < _MIN_MINIBATCHES:
        logger.debug("engine: stock; this training is too short to measure for")
        return choice
    if model.device.type not in ("cpu", "cuda"):
        logger.info("engine: stock; engines are not compared on the device %s", model.device)
        return choice
    findings: list[str] = []
    # With one thread: the processor time of several threads includes that in which they wait for each other.
    with using_threads(1):
        stock = _StockTime(_make_stock_timer(model))
        seconds = stock.measure()
        for engine_id in (TORCH_ENGINE, XLA_ENGINE):
            engine = get_engine(engine_id)
            try:
                update = _make_worthwhile_update(engine, model, minibatches * seconds)
            except NotCovered as error:
                findings.append(f"{engine_id}: {error.reason}")
                continue
            found = _measure_between(update, stock)
            findings.append(f"{engine_id} {1e3 * found:.2f}")
            seconds = min(seconds, stock.seconds)
            if found < (_XLA_MARGIN * seconds if engine_id == XLA_ENGINE else seconds):
                choice, seconds = EngineChoice(engine, update), found
    about_stock = f"stock takes about {1e3 * stock.seconds:.2f} ms a minibatch"
    logger.info("engine: %s; %s", choice.engine.id, ", ".join([about_stock, *findings]))
    return choice


def _make_worthwhile_update(engine: Engine, model: Any, seconds: float) -> Update:
    """
    :param engine: an engine that is not stock
    :param model: the model
    :param seconds: duration of all updates with the fastest engine found before
    :return: the engine's update
    :raises NotCovered: if the engine cannot update the model, or is not worth its start
    """
    if not engine.is_installed():
        raise NotCovered(f"not installed; pip install 'sb3-ext[{engine.extra}]'")
    if engine.id == XLA_ENGINE:
        if seconds < _MIN_SECONDS:
            raise NotCovered("this training is too short to compile for")
        has_convolutions = any(isinstance(module, torch.nn.Conv2d) for module in model.policy.modules())
        if has_convolutions and model.device.type == "cpu":
            raise NotCovered("its convolutions are slow on a CPU")  # up to 20 times; measuring it would take long
    update = engine.make_update(model)
    assert update is not None, "only stock keeps train"
    return update


class _StockTime:
    """
    The time of a minibatch with ``train``: the shortest of all measurements so far.

    :param timer: measures it
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self.seconds = math.inf

    def measure(self) -> float:
        """:return: the time, after another measurement"""
        self.seconds = min(self.seconds, self._timer())
        return self.seconds


def _measure_between(update: Update, stock: _StockTime) -> float:
    """
    Measure an engine between two measurements of stock, and again if the result is implausible.

    :param update: of the engine
    :param stock: measured at least once
    :return: seconds of a minibatch
    """
    found = update.measure()
    stock.measure()
    if not 1 / _PLAUSIBLE_FACTOR < found / stock.seconds < _PLAUSIBLE_FACTOR:
        found = min(found, update.measure())
        stock.measure()
    return found


def _make_stock_timer(model: Any) -> Callable[[], float]:
    """:return: function that measures the seconds of a minibatch of ``train``"""
    passes, clock = NetworkPasses(model), partial(read_clock, model.device)
    return lambda: _STOCK_OVERHEAD * passes.measure_minibatch(clock, _STOCK_SECONDS)
