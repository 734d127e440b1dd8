"""Base classes of engines and their updates, which replace a model's ``train``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.errors import MissingExtraError

if TYPE_CHECKING:
    from sb3_ext.ranks.rank_group import RankGroup


class Update(ABC):
    """
    Replacement of a model's ``train``, with the same effect on the model.

    It stores no state between calls: weights, optimizers and counters stay in the model.
    """

    #: the ranks over which gradients are averaged; ``None`` if the model is trained by this process alone
    group: RankGroup | None = None

    @abstractmethod
    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        """Update the model; takes the arguments of ``train``."""

    @abstractmethod
    def measure(self) -> float:
        """
        Time an update with placeholder data, without changing the model or any random number generator.

        :return: seconds per minibatch, without compilation
        """


class Engine(ABC):
    """
    Base class of engines, which make an :class:`Update` for a model.

    :param id: name of the engine in a configuration
    """

    #: whether models with this engine collect experience with the fast implementations of this package
    collects_fast: ClassVar[bool] = True
    #: extra of this package that installs the modules that the engine needs
    extra: ClassVar[str | None] = None
    #: modules that the extra installs
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
        Make the replacement of a model's ``train``.

        :param model: the model, ready to learn
        :return: the update; ``None`` to keep ``train``
        :raises NotCovered: if this engine cannot update the model
        """


class StockEngine(Engine):
    """Stable-Baselines3 itself: the model's own ``train`` and ``collect_rollouts``."""

    collects_fast = False

    def make_update(self, model: BaseAlgorithm) -> None:
        """
        :param model: any model
        :return: ``None``
        """
        return
