"""Base class of compiled programs that replace ``train``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, ClassVar

from sb3_ext.engines.engine import Update
from sb3_ext.engines.xla.jax_runtime import start_jax, time_program
from sb3_ext.engines.xla.optimizers import FlatOptimizer
from sb3_ext.engines.xla.tensor_groups import TensorGroup
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state


class XlaUpdate(Update):
    """
    Base class of updates that are compiled by XLA.

    :param model: the model, ready to learn
    :raises NotCovered: if a part of it is not supported
    """

    #: classes of algorithms whose ``train`` it replaces
    algorithms: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, model: Any) -> None:
        start_jax(model.device.type)
        self.model = model
        self._switched = _find_switched_modules(model.policy)

    def measure(self) -> float:
        """See :meth:`~sb3_ext.engines.engine.Update.measure`."""
        random_state = get_global_random_state()
        try:
            with ExitStack() as stack:
                for changed in self._list_changed():
                    stack.enter_context(changed.preserving())
                count = self._try()  # compiles
                return time_program(self._try, self.model.device) / count
        finally:
            set_global_random_state(random_state)

    def _set_training_mode(self) -> None:
        """Do what ``policy.set_training_mode(True)`` does, in a tenth of its time."""
        for attributes in self._switched:
            attributes["training"] = True

    @abstractmethod
    def _try(self) -> int:
        """
        Do what an update does, without counting and logging it, with rows that do not matter.

        :return: number of minibatches
        """

    @abstractmethod
    def _list_changed(self) -> Iterable[FlatOptimizer | TensorGroup]:
        """:return: the arrays that an update writes"""


def _find_switched_modules(policy: Any) -> list[dict[str, Any]]:
    """:return: attributes of the modules whose mode ``policy.set_training_mode`` changes, which are not all of them"""
    modules = [vars(module) for module in policy.modules()]
    modes = [attributes["training"] for attributes in modules]
    for attributes in modules:
        attributes["training"] = False
    policy.set_training_mode(True)
    switched = [attributes for attributes in modules if attributes["training"]]
    for attributes, mode in zip(modules, modes, strict=True):
        attributes["training"] = mode
    return switched
