"""Base class of updates in torch that replace ``train``."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import torch

from sb3_ext.engines.clock import read_clock
from sb3_ext.engines.engine import Update
from sb3_ext.engines.freed_memory import keep_freed_memory
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.minibatch_graph import RECORDERS, MinibatchGraph
from sb3_ext.engines.torch_updates.optimizer_steps import FlatStep, make_optimizer_step
from sb3_ext.ranks.logged_values import averaging_logged_values
from sb3_ext.ranks.rank_group import RankGroup

logger = logging.getLogger(__name__)

_MEASURING_SECONDS = 0.3


class TorchUpdate(Update):
    """
    Base class of updates in torch.

    :param model: the model, ready to learn
    :raises NotCovered: if a part of it is not supported
    """

    #: classes of algorithms whose ``train`` it replaces
    algorithms: ClassVar[tuple[type[Any], ...]] = ()
    _graph: MinibatchGraph | None = None

    def __init__(self, model: Any) -> None:
        keep_freed_memory()
        self.model = model
        self._steps = {name: make_optimizer_step(optimizer) for name, optimizer in self._find_optimizers().items()}

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """:return: optimizers of the model, by name of what they train"""
        return {"policy": self.model.policy.optimizer}

    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        """Update the model; takes the arguments of ``train``."""
        with torch.no_grad(), flushing_denormals(), ExitStack() as stack:
            if self.group is not None:
                stack.enter_context(averaging_logged_values(self.group, self.model.logger))
            self._update(*arguments, **keywords)

    def average_over(self, group: RankGroup) -> None:
        """
        Average gradients over several ranks from now on.

        :param group: the ranks
        """
        self.group = group
        self._graph = None  # messages between ranks cannot be a part of it
        for step in self._steps.values():
            step.group = group

    def measure(self) -> float:
        """See :meth:`~sb3_ext.engines.engine.Update.measure`."""
        device = self.model.device
        generators = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        with torch.no_grad(), flushing_denormals(), generators, ExitStack() as stack:
            for step in self._steps.values():
                stack.enter_context(step.preserving())
                step.begin()
            times: list[float] = []  # the first one is longer, since memory is allocated
            deadline = time.perf_counter() + _MEASURING_SECONDS
            while len(times) < 4 and not (times and time.perf_counter() > deadline):
                began_at = read_clock(device)
                count = self._try()
                times.append((read_clock(device) - began_at) / count)
            # The processor time is that of all threads.
            return min(times) / (torch.get_num_threads() if device.type == "cpu" else 1)

    def _make_graph(self, obstacle: str | None = None) -> MinibatchGraph | None:
        """
        :param obstacle: why learning from a minibatch cannot be recorded; ``None`` if it can
        :return: a graph that learns from minibatches; ``None`` on a CPU, or if it cannot be recorded
        """
        recorder = RECORDERS.get(self.model.device.type)
        if recorder is None:
            return None
        steps = [step for step in self._steps.values() if isinstance(step, FlatStep)]
        if len(steps) < len(self._steps):
            obstacle = "an optimizer, or one of its options, has no step on flat arrays"
        if obstacle is not None:
            logger.info("updates run without a CUDA graph: %s", obstacle)
            return None
        for step in steps:
            step.keep_rate_on_device()
        return MinibatchGraph(recorder, steps)

    def use_bfloat16(self) -> None:
        """
        Compute features of images or boards in bfloat16 from now on.

        :raises NotCovered: if that is not faster, or not possible
        """
        for features in self._list_features():
            features.use_bfloat16()

    @abstractmethod
    def _list_features(self) -> Sequence[FeatureLayer]:
        """:return: what computes features, of all networks"""

    @abstractmethod
    def _update(self, *arguments: Any, **keywords: Any) -> None:
        """Update the model."""

    @abstractmethod
    def _try(self) -> int:
        """
        Learn from some minibatches of placeholder data.

        :return: number of minibatches
        """


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """
    Let torch round numbers below 1e-38 to zero inside the block, since processors compute slowly with such numbers.

    Without it, the moments of weights without a gradient, as in ReLU networks, slow down updates after some time.
    """
    was_flushing = not (torch.tensor(1e-40) * 1).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushing)
