"""
Torch's optimizers as functions of flat arrays.

The state stays that of the torch optimizer: its tensors are views of the arrays. Coefficients that depend on the number
of the step, such as Adam's bias corrections, are computed in float64 before the program, as in torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.tensor_groups import TensorGroup

Arrays = tuple[Any, ...]


class FlatOptimizer(ABC):
    """
    Base class for the steps of a torch optimizer inside a program.

    :param optimizer: a torch optimizer with one group of parameters
    :raises NotCovered: if it has several groups, or an option that the subclass does not support
    """

    #: names of the tensors that torch stores for each parameter
    buffers: ClassVar[tuple[str, ...]]
    #: supported values of options
    options: ClassVar[dict[str, Any]] = {"maximize": False, "differentiable": False}
    #: number of coefficients of a step
    num_coefficients: ClassVar[int]

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        if len(optimizer.param_groups) != 1:
            raise NotCovered("the optimizer has several groups of parameters")
        self.optimizer = optimizer
        for name, value in self.options.items():
            if self._group.get(name, value) != value:
                raise NotCovered(f"{name_type(optimizer)} has {name}={self._group[name]}")
        self.group = TensorGroup(self._group["params"])
        self._arrays = {name: self.group.make_array() for name in self.buffers}
        views = [self.group.split(array) for array in self._arrays.values()]
        self._steps = np.zeros(len(self.group.tensors), np.float32)
        self._step_views = torch.from_numpy(self._steps).unbind()
        #: for each tensor: views of the arrays, by the name of the buffer
        self._views = [dict(zip(self.buffers, parts, strict=True)) for parts in zip(*views, strict=True)]

    @property
    def _group(self) -> dict[str, Any]:
        return self.optimizer.param_groups[0]

    def read(self) -> tuple[Arrays, int]:
        """
        Make weights and torch's state views of the flat arrays, unless they are.

        :return: the flat buffers, and the number of steps taken so far
        """
        self.group.attach()
        steps = 0
        for place, (tensor, views) in enumerate(zip(self.group.tensors, self._views, strict=True)):
            state = self.optimizer.state.get(tensor)
            if not state:
                # For a weight that no loss depends on, torch has no state.
                for name, view in views.items():
                    view.fill_(self._begin(name))
                continue
            is_view = state["step"] is self._step_views[place]
            steps = max(steps, int(self._steps[place] if is_view else state["step"]))
            for name, view in views.items():
                if state[name] is not view:
                    view.copy_(state[name])
                    state[name] = view
        return tuple(array.array for array in self._arrays.values()), steps

    def write(self, weights: Any, buffers: Arrays, step: int) -> None:
        """
        Write the weights and torch's state.

        :param weights: flat weights from the program
        :param buffers: flat buffers from the program
        :param step: the number of steps taken so far
        """
        self.group.values.write(weights)
        for array, values in zip(self._arrays.values(), buffers, strict=True):
            array.write(values)
        self._write_step(step)

    def _write_step(self, step: int) -> None:
        self._steps.fill(step)
        for tensor, views, view in zip(self.group.tensors, self._views, self._step_views, strict=True):
            self.optimizer.state[tensor].update(step=view, **views)

    @contextmanager
    def preserving(self) -> Iterator[None]:
        """Restore weights and torch's state at the end of the block."""
        _buffers, step = self.read()
        saved = [array.tensor.clone() for array in self._arrays.values()]
        had_state = bool(self.optimizer.state)
        try:
            with self.group.preserving():
                yield
        finally:
            for array, values in zip(self._arrays.values(), saved, strict=True):
                array.tensor.copy_(values)
            if had_state:
                self._write_step(step)
            else:
                self.optimizer.state.clear()

    def write_coefficients(self, step: int, rows: NDArray[np.float32]) -> None:
        """
        Compute the coefficients of the next steps.

        :param step: the number of steps taken so far
        :param rows: array for the coefficients that :meth:`update` needs, shape (steps, num_coefficients)
        """
        numbers = np.arange(step + 1, step + len(rows) + 1, dtype=np.float64)
        for place, column in enumerate(self._compute(numbers)):
            rows[:, place] = column

    @abstractmethod
    def update(self, weights: Any, gradient: Any, buffers: Arrays, coefficients: Any) -> tuple[Any, Arrays]:
        """
        Take one step inside a program.

        :param weights: flat weights
        :param gradient: flat gradient
        :param buffers: flat buffers
        :param coefficients: one row of :meth:`write_coefficients`
        :return: weights and buffers after the step
        """

    @abstractmethod
    def _compute(self, numbers: NDArray[np.float64]) -> tuple[Any, ...]:
        """:return: coefficients of the steps with these numbers, each a scalar or an array of the same shape"""

    def _begin(self, name: str) -> float:
        return 0.0


class FlatAdam(FlatOptimizer):
    """Adam, and AdamW with its decoupled weight decay."""

    buffers = ("exp_avg", "exp_avg_sq")
    num_coefficients = 8
    options: ClassVar[dict[str, Any]] = {**FlatOptimizer.options, "amsgrad": False, "capturable": False}

    def update(self, weights: Any, gradient: Any, buffers: Arrays, coefficients: Any) -> tuple[Any, Arrays]:
        """See :meth:`FlatOptimizer.update`."""
        import jax.numpy as jnp

        mean, square = buffers
        step_size, root, eps, keep, decay, first, second, rest = coefficients
        weights = weights * keep
        gradient = gradient + decay * weights
        mean = mean + first * (gradient - mean)
        square = second * square + rest * gradient * gradient
        return weights - step_size * mean / (jnp.sqrt(square) / root + eps), (mean, square)

    def _compute(self, numbers: NDArray[np.float64]) -> tuple[Any, ...]:
        group = self._group
        rate, decay = float(group["lr"]), group["weight_decay"]
        first, second = group["betas"]
        is_decoupled = group.get("decoupled_weight_decay", False)
        return (
            rate / (1 - first**numbers),
            np.sqrt(1 - second**numbers),
            group["eps"],
            1 - rate * decay if is_decoupled else 1.0,
            0.0 if is_decoupled else decay,
            1 - first,
            second,
            1 - second,
        )


class FlatRMSprop(FlatOptimizer):
    """RMSprop without momentum."""

    buffers = ("square_avg",)
    num_coefficients = 5
    options: ClassVar[dict[str, Any]] = {
        **FlatOptimizer.options,
        "momentum": 0,
        "centered": False,
        "capturable": False,
    }

    def update(self, weights: Any, gradient: Any, buffers: Arrays, coefficients: Any) -> tuple[Any, Arrays]:
        """See :meth:`FlatOptimizer.update`."""
        import jax.numpy as jnp

        (square,) = buffers
        rate, eps, decay, alpha, rest = coefficients
        gradient = gradient + decay * weights
        square = alpha * square + rest * gradient * gradient
        return weights - rate * gradient / self._compute_root(jnp, square, eps), (square,)

    def _compute_root(self, numpy: Any, square: Any, eps: Any) -> Any:
        return numpy.sqrt(square) + eps

    def _compute(self, numbers: NDArray[np.float64]) -> tuple[Any, ...]:
        group = self._group
        return float(group["lr"]), group["eps"], group["weight_decay"], group["alpha"], 1 - group["alpha"]


class FlatRMSpropTFLike(FlatRMSprop):
    """SB3's RMSprop with the details of TensorFlow's."""

    def _compute_root(self, numpy: Any, square: Any, eps: Any) -> Any:
        return numpy.sqrt(square + eps)

    def _write_step(self, step: int) -> None:
        for tensor, views in zip(self.group.tensors, self._views, strict=True):
            self.optimizer.state[tensor].update(step=step, **views)

    def _begin(self, name: str) -> float:
        return 1.0


_FLAT: dict[type[torch.optim.Optimizer], type[FlatOptimizer]] = {
    torch.optim.Adam: FlatAdam,
    torch.optim.AdamW: FlatAdam,
    torch.optim.RMSprop: FlatRMSprop,
    RMSpropTFLike: FlatRMSpropTFLike,
}


def make_flat_optimizer(optimizer: torch.optim.Optimizer) -> FlatOptimizer:
    """
    :param optimizer: a torch optimizer
    :return: its counterpart for programs
    :raises NotCovered: if its class or one of its options is not supported
    """
    flat = _FLAT.get(type(optimizer))
    if flat is None:
        raise NotCovered(f"the optimizer is {name_type(optimizer)}")
    return flat(optimizer)
