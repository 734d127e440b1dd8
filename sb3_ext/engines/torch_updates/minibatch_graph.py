"""
Record what an update does with a minibatch as a CUDA graph, and replay it with each further minibatch.

An update of a small network is about a hundred short kernels, which a GPU computes faster than Python launches them. A
replay launches all of them at once. It reads and writes the memory that was used when the graph was recorded, and
repeats every number that was not in a tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from sb3_ext.engines.torch_updates.optimizer_steps import FlatStep

Tensor = torch.Tensor
Tensors = Mapping[str, Any]
"""Tensors by name, or dictionaries of them; ``None`` for what a minibatch does not have."""
Learn = Callable[[Tensors, dict[str, Tensor]], None]
Recorder = Callable[[Callable[[], None], torch.device], Callable[[], None]]

logger = logging.getLogger(__name__)

_WARM_UPS = 3  # as in torch's documentation: the first calls choose algorithms and allocate memory
_TOLERANCE = 0.1  # of the length of a step; Adam turns rounding errors of tiny gradients into whole changes


def record_cuda_graph(function: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """
    Call a function several times, and record a further call, which computes nothing.

    :param function: launches kernels, and neither waits for the GPU nor copies from or to the CPU
    :param device: the GPU
    :return: function that repeats the recorded kernels
    :raises RuntimeError: if the function cannot be recorded
    """
    with torch.cuda.device(device):
        stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        graph = torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                for _call in range(_WARM_UPS):
                    function()
                # Other threads may use the GPU meanwhile, to write a checkpoint.
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    function()
        finally:
            torch.cuda.current_stream().wait_stream(stream)
    return graph.replay


RECORDERS: dict[str, Recorder] = {"cuda": record_cuda_graph}
"""By type of device; updates on other devices are not recorded."""


class MinibatchGraph:
    """
    Learns from minibatches by replaying what was recorded with one of them.

    A minibatch of another shape is learned from without the graph, such as the last one of an epoch. If recording
    fails, or a replay changes the weights in another way than a step without the graph, a line in the log says so, and
    all minibatches are.

    :param recorder: records a function
    :param steps: the steps of optimizers that learning takes
    """

    def __init__(self, recorder: Recorder, steps: Sequence[FlatStep]) -> None:
        self._recorder, self._steps = recorder, steps
        self._is_usable = True
        self._settings: Hashable = None
        self._replay: Callable[[], None] | None = None
        self._inputs: dict[str, Tensor] = {}
        self._shapes: dict[str, tuple[Any, ...]] = {}
        self._outputs: dict[str, Tensor] = {}

    def make_another(self) -> MinibatchGraph:
        """:return: a graph of another function that takes steps of the same optimizers"""
        return MinibatchGraph(self._recorder, self._steps)

    def begin(self, learn: Learn, settings: Hashable, read: Sequence[Tensor]) -> None:
        """
        Begin an update, after the steps of the optimizers have begun.

        :param learn: learns from a minibatch: it takes the inputs, and writes the outputs
        :param settings: all numbers of ``learn`` that are not in tensors; other ones are recorded anew
        :param read: tensors that it reads beside its inputs; if they move in memory, it is recorded anew
        """
        self._learn = learn
        numbers = [step.get_settings() for step in self._steps]
        settings = settings, *numbers, *(tensor.data_ptr() for tensor in read)
        if settings != self._settings:
            self._settings, self._replay = settings, None

    def learn(self, inputs: Tensors, outputs: dict[str, Tensor]) -> None:
        """
        Learn from a minibatch.

        :param inputs: the minibatch
        :param outputs: receive what is logged
        """
        given = dict(_flatten(inputs))
        if self._replay is None and self._is_usable:
            self._record(inputs, outputs)
        if self._replay is None or _describe(given) != self._shapes:
            self._learn(inputs, outputs)
            return
        for name, tensor in given.items():
            self._inputs[name].copy_(tensor)
        self._replay()
        for name, tensor in outputs.items():
            tensor.copy_(self._outputs[name])

    def _record(self, inputs: Tensors, outputs: dict[str, Tensor]) -> None:
        """Record, compare a replay with a step without the graph, and restore what both have changed."""
        kept: Any = _clone(inputs)
        written = {name: torch.zeros_like(tensor) for name, tensor in outputs.items()}
        learn = partial(self._learn, kept, written)
        changed = [tensor for step in self._steps for tensor in step.list_changed()]
        before = [tensor.clone() for tensor in changed]
        device, results = before[0].device, []
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                replay = self._recorder(learn, device)
                for take_step in (learn, replay):
                    _copy(before, changed)
                    take_step()
                    results.append([tensor.clone() for tensor in changed])
            obstacle = None if _agree(before, *results) else "a replay leaves other weights"
        except RuntimeError as error:
            obstacle = str(error).partition("\n")[0]
        finally:
            _copy(before, changed)
        if obstacle is not None:
            self._is_usable = False
            logger.warning("updates run without a CUDA graph: %s", obstacle)
            return
        self._replay, self._outputs = replay, written
        self._inputs = dict(_flatten(kept))
        self._shapes = _describe(self._inputs)


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


def _agree(before: Sequence[Tensor], expected: Sequence[Tensor], found: Sequence[Tensor]) -> bool:
    """:return: whether two steps have changed all tensors in the same way, except for rounding"""
    for start, one, other in zip(before, expected, found, strict=True):
        if not (other - one).norm() <= _TOLERANCE * (one - start).norm():
            return False
    return True


def _clone(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _clone(part) for name, part in inputs.items()}
    return None if inputs is None else inputs.clone()


def _flatten(inputs: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(inputs, Mapping):
        for name, part in inputs.items():
            yield from _flatten(part, f"{prefix}/{name}")
    elif inputs is not None:
        yield prefix, inputs


def _describe(inputs: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in inputs.items()}
