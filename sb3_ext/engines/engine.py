"""What updates a model: its own ``train``, or something that does the same faster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.errors import MissingExtraError


class Update(ABC):
    """
    Takes the place of a model's ``train``, and does the same to the model.

    It keeps nothing of its own from one call to the next: weights, optimizers and counters are the model's.
    """

    @abstractmethod
    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        """Update the model; takes what ``train`` takes."""

    @abstractmethod
    def measure(self) -> float:
        """
        Time an update of numbers that mean nothing. The model and all random number generators stay as they are.

        :return: seconds that a minibatch takes once everything is compiled
        """


class Engine(ABC):
    """
    Makes updates of models.

    :param id: its name in a configuration
    """

    #: the extra that brings what the engine needs
    extra: ClassVar[str | None] = None
    #: what the extra brings
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, id: str) -> None:
        self.id = id

    def is_installed(self) -> bool:
        """:return: whether the modules that the engine needs are installed"""
        return all(find_spec(module) is not None for module in self.modules)

    def validate_installed(self) -> None:
        """
        Check that the modules that the engine needs are installed.

        :raises MissingExtraError: if they are not
        """
        if self.extra is not None and not self.is_installed():
            raise MissingExtraError(f"agent.engine: {self.id}", self.extra)

    @abstractmethod
    def make_update(self, model: BaseAlgorithm) -> Update | None:
        """
        Make what takes the place of a model's ``train``.

        :param model: ready to learn
        :return: ``None`` if ``train`` stays as it is
        :raises NotCovered: if this engine cannot update such a model
        """


class TorchEngine(Engine):
    """Stable-Baselines3 as it is."""

    def make_update(self, model: BaseAlgorithm) -> None:
        """
        :param model: any
        :return: ``None``
        """
        return
