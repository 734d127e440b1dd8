"""
Torch's optimizers as functions of flat arrays.

The state stays in the torch optimizer: it is read before a program and written back after it. Coefficients that depend
on the number of the step, such as Adam's bias corrections, are computed in float64 before the program, as in torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        if len(optimizer.param_groups) != 1:
            raise NotCovered("the optimizer has several groups of parameters")
        self.optimizer = optimizer
        for name, value in self.options.items():
            if self._group.get(name, value) != value:
                raise NotCovered(f"{name_type(optimizer)} has {name}={self._group[name]}")
        self.group = TensorGroup(self._group["params"])

    @property
    def _group(self) -> dict[str, Any]:
        return self.optimizer.param_groups[0]

    def read(self) -> tuple[Arrays, int]:
        """
        Read torch's state.

        :return: the flat buffers, and the number of steps taken so far
        """
        # For a weight that no loss depends on, torch has no state; its buffers are zeros.
        states = [self.optimizer.state.get(tensor) or self._make_state(tensor) for tensor in self.group.tensors]
        flat = tuple(self.group.flatten([state[name] for state in states]) for name in self.buffers)
        return flat, max(int(state["step"]) for state in states)

    def write(self, buffers: Arrays, step: int) -> None:
        """
        Write torch's state.

        :param buffers: flat buffers from the program
        :param step: the number of steps taken so far
        """
        states = [self.optimizer.state[tensor] for tensor in self.group.tensors]
        for tensor, state in zip(self.group.tensors, states, strict=True):
            if not state:
                state.update(self._make_state(tensor))
            if isinstance(state["step"], torch.Tensor):
                state["step"].fill_(step)
            else:
                state["step"] = step
        for name, flat in zip(self.buffers, buffers, strict=True):
            self.group.write(flat, [state[name] for state in states])

    def compute_coefficients(self, step: int, count: int) -> NDArray[np.float32]:
        """
        Compute the coefficients that change from step to step.

        :param step: the number of steps taken so far
        :param count: number of steps to take
        :return: shape (count, numbers that :meth:`update` needs)
        """
        numbers = np.arange(step + 1, step + count + 1, dtype=np.float64)
        return np.stack(np.broadcast_arrays(*self._compute(numbers)), axis=1).astype(np.float32)

    @abstractmethod
    def update(self, weights: Any, gradient: Any, buffers: Arrays, coefficients: Any) -> tuple[Any, Arrays]:
        """
        Take one step inside a program.

        :param weights: flat weights
        :param gradient: flat gradient
        :param buffers: flat buffers
        :param coefficients: one row of :meth:`compute_coefficients`
        :return: weights and buffers after the step
        """

    @abstractmethod
    def _compute(self, numbers: NDArray[np.float64]) -> tuple[Any, ...]:
        """:return: coefficients of the steps with these numbers, each a scalar or an array of the same shape"""

    def _make_state(self, tensor: torch.Tensor) -> dict[str, Any]:
        buffers = {name: torch.full_like(tensor, self._begin(name)) for name in self.buffers}
        return {"step": self._make_step(), **buffers}

    def _make_step(self) -> Any:
        return torch.tensor(0.0)

    def _begin(self, name: str) -> float:
        return 0.0


class FlatAdam(FlatOptimizer):
    """Adam, and AdamW with its decoupled weight decay."""

    buffers = ("exp_avg", "exp_avg_sq")
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
        constants = (float(group["lr"]), group["eps"], group["weight_decay"], group["alpha"], 1 - group["alpha"])
        return (constants[0] + 0 * numbers, *constants[1:])


class FlatRMSpropTFLike(FlatRMSprop):
    """SB3's RMSprop with the details of TensorFlow's."""

    def _compute_root(self, numpy: Any, square: Any, eps: Any) -> Any:
        return numpy.sqrt(square + eps)

    def _make_step(self) -> Any:
        return 0

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
