"""Whole updates as single programs, compiled by XLA."""

from __future__ import annotations

from typing import Any

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.engine import Engine, Update
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state


class XlaEngine(Engine):
    """Compile updates with JAX, the extra ``xla``."""

    extra = "xla"
    modules = ("jax", "jaxlib")

    def make_update(self, model: Any) -> Update:
        """
        Import JAX, and make the replacement of a model's ``train``.

        :param model: the model, ready to learn
        :return: the update; its program is compiled when it is first called
        :raises MissingExtraError: if JAX is not installed
        :raises NotCovered: if there is no program for the model
        """
        self.validate_installed()
        random_state = get_global_random_state()  # importing JAX draws from NumPy's generator
        try:
            return _make_update(model)
        finally:
            set_global_random_state(random_state)


def _make_update(model: Any) -> Update:
    from sb3_ext.engines.xla.xla_updates import UPDATES

    train = getattr(type(model), "train", None)  # ARS has none
    for update in UPDATES:
        if any(train is algorithm.train for algorithm in update.algorithms):
            return update(model)
    raise NotCovered(f"there is no program for {name_type(model)}")
