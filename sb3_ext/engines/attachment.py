"""Attach an engine to a model during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.engines.collecting.rollout_choice import choose_rollouts
from sb3_ext.engines.engine import Update
from sb3_ext.engines.engine_registry import STOCK_ENGINE
from sb3_ext.internals.sb3 import replacing_methods

_ENGINES: WeakKeyDictionary[BaseAlgorithm, str] = WeakKeyDictionary()


@contextmanager
def attaching(model: BaseAlgorithm, engine_id: str, update: Update | None) -> Iterator[None]:
    """
    Replace the ``train`` of a model by an engine's update inside the block, and unless the engine is ``stock``, its
    ``collect_rollouts`` by a faster one with the same effect. Saved files of the model do not change.

    :param model: the model, ready to learn
    :param engine_id: name of the engine
    :param update: update that the engine has made for the model; ``None`` keeps ``train``
    """
    methods: dict[str, Callable[..., Any] | None] = {"train": update}
    if engine_id != STOCK_ENGINE:
        methods["collect_rollouts"] = choose_rollouts(model)
    _ENGINES[model] = engine_id
    try:
        with replacing_methods(model, {name: method for name, method in methods.items() if method is not None}):
            yield
    finally:
        del _ENGINES[model]


def get_engine_id(model: BaseAlgorithm) -> str:
    """
    :param model: any model
    :return: name of the engine that updates it
    """
    return _ENGINES.get(model, STOCK_ENGINE)
