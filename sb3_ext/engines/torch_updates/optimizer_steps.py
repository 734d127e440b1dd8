"""
Steps of torch's optimizers on flat arrays.

The state of the torch optimizer stays where it is, as views of flat arrays. Optimizers without a counterpart here take
their own steps.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from sb3_ext.engines.torch_updates.flat_tensors import FlatTensors, attach
from sb3_ext.internals.torch import get_adam_step
from sb3_ext.ranks.rank_group import RankGroup

_NORM_PART = 2**16  # numbers


class OptimizerStep(ABC):
    """
    Base class for the steps of a torch optimizer.

    :param optimizer: a torch optimizer
    :raises NotCovered: if the types of its parameters are not supported
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.weights = FlatTensors(tensor for group in optimizer.param_groups for tensor in group["params"])
        #: the ranks over which gradients are averaged; ``None`` for this process alone
        self.group: RankGroup | None = None
        # One more number at the end, which is averaged in the same message.
        size = self.weights.values.numel()
        self._message = self.weights.values.new_zeros(size + 1)
        self.gradient = self._message[:size]
        self._gradients = self.weights.split(self.gradient)
        self._sum: torch.Tensor | None = None

    def begin(self) -> None:
        """Attach the weights, their gradients and the optimizer's state to the flat arrays."""
        self.weights.attach()
        for tensor, gradient in zip(self.weights.tensors, self._gradients, strict=True):
            if tensor.grad is not gradient:
                tensor.grad = gradient

    def average(self, number: float | None = None) -> float:
        """
        Average the gradient over the ranks, if there are several.

        :param number: a number to average in the same message; ``None`` for none
        :return: its mean over the ranks; 0 without a number
        """
        if self.group is None:
            return number or 0.0
        if number is not None:
            self._message[-1] = number
        self.group.sum(self._message)
        self._message /= self.group.size
        return 0.0 if number is None else float(self._message[-1])

    def add_part(self, *, is_first: bool) -> None:
        """
        Add the gradient of a part of a minibatch to the sum of :meth:`join_parts`.

        :param is_first: whether it is the first part
        """
        if self._sum is None:
            self._sum = self.weights.make_array(0.0)
        if is_first:
            self._sum.copy_(self.gradient)
        else:
            self._sum.add_(self.gradient)

    def join_parts(self) -> None:
        """Replace the gradient by the sum of all parts."""
        assert self._sum is not None, "there are parts"
        self.gradient.copy_(self._sum)

    def clip(self, bound: float) -> None:
        """
        Clip the gradient as torch's ``clip_grad_norm_`` does.

        :param bound: upper bound of its norm
        """
        # torch adds the squares of a million numbers with an error of 1e-5.
        norms = [torch.linalg.vector_norm(part) for part in torch.split(self.gradient, _NORM_PART)]
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        factor = bound / (norm + 1e-6)
        self.gradient.mul_(factor.clamp_(max=1.0))

    @contextmanager
    def preserving(self) -> Iterator[None]:
        """Restore weights, gradients and the optimizer's state at the end of the block."""
        weights = [tensor.detach().clone() for tensor in self.weights.tensors]
        gradients = [tensor.grad for tensor in self.weights.tensors]
        state = copy.deepcopy(self.optimizer.state_dict())
        try:
            yield
        finally:
            self.optimizer.load_state_dict(state)
            for tensor, before, gradient in zip(self.weights.tensors, weights, gradients, strict=True):
                tensor.data.copy_(before)
                tensor.grad = gradient

    @abstractmethod
    def take(self) -> None:
        """Take one step with the current gradient."""

    @abstractmethod
    def finish(self) -> None:
        """Write the number of steps into the optimizer's state."""


class OwnStep(OptimizerStep):
    """The step of the optimizer itself."""

    def finish(self) -> None:
        """Do nothing: the optimizer has counted."""

    def take(self) -> None:
        """See :meth:`OptimizerStep.take`."""
        self.optimizer.step()


class FlatStep(OptimizerStep):
    """
    Base class of steps on flat arrays.

    All that changes from step to step is in tensors: weights, gradient, state, and the number of steps.
    """

    #: names of the tensors that torch stores for each parameter
    buffers: ClassVar[tuple[str, ...]]
    #: supported values of options
    options: ClassVar[dict[str, Any]] = {
        "maximize": False,
        "differentiable": False,
        "amsgrad": False,
        "capturable": False,
        "momentum": 0,
        "centered": False,
    }

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self._arrays = [self.weights.make_array(self._initial) for _name in self.buffers]
        self._views = [self.weights.split(array) for array in self._arrays]
        self._count = torch.zeros((), device=self.gradient.device)
        self._rate: float | torch.Tensor = 0.0

    def keep_rate_on_device(self) -> None:
        """Keep the learning rate in a tensor, so that a CUDA graph reads the one of its replay."""
        self._rate = torch.zeros((), device=self.gradient.device)

    def list_changed(self) -> list[torch.Tensor]:
        """:return: the tensors that a step changes"""
        return [self.weights.values, *self._arrays, self._count]

    def get_settings(self) -> Hashable:
        """:return: the options of the optimizer, without the learning rate"""
        options = ("betas", "eps", "weight_decay", "alpha", "decoupled_weight_decay")
        return tuple(self._group.get(name) for name in options)

    @property
    def _group(self) -> dict[str, Any]:
        return self.optimizer.param_groups[0]

    @property
    def _initial(self) -> float:
        return 0.0

    def begin(self) -> None:
        """See :meth:`OptimizerStep.begin`."""
        super().begin()
        states = [self.optimizer.state[tensor] for tensor in self.weights.tensors]
        self._count.fill_(max(int(state.get("step", 0)) for state in states))
        rate = float(self._group["lr"])
        if isinstance(self._rate, torch.Tensor):
            self._rate.fill_(rate)
        else:
            self._rate = rate
        for name, array, views in zip(self.buffers, self._arrays, self._views, strict=True):
            if not any(states):
                array.fill_(self._initial)
            for state, view in zip(states, views, strict=True):
                if name in state:
                    attach([state[name]], [view])
                else:
                    state[name] = view

    def take(self) -> None:
        """See :meth:`OptimizerStep.take`."""
        self._count.add_(1)
        self._take(self.weights.values, self.gradient)

    def finish(self) -> None:
        """See :meth:`OptimizerStep.finish`."""
        steps = int(self._count.item())
        for tensor in self.weights.tensors:
            if not steps:  # torch makes the state at the first step
                del self.optimizer.state[tensor]
                continue
            state = self.optimizer.state[tensor]
            if isinstance(state.get("step"), torch.Tensor):
                state["step"].fill_(steps)
            else:
                state["step"] = self._make_step(steps)

    @abstractmethod
    def _take(self, weights: torch.Tensor, gradient: torch.Tensor) -> None:
        """Change weights and buffers by one step."""

    def _make_step(self, count: int) -> Any:
        return torch.tensor(float(count))


class AdamStep(FlatStep):
    """The step of Adam, and of AdamW with its decoupled weight decay."""

    buffers = ("exp_avg", "exp_avg_sq")

    def begin(self) -> None:
        """See :meth:`OptimizerStep.begin`."""
        super().begin()
        group = self._group
        is_decoupled = group.get("decoupled_weight_decay", False)
        self._function = get_adam_step(is_decoupled=is_decoupled)
        self._settings = {
            "lr": self._rate,
            "beta1": group["betas"][0],
            "beta2": group["betas"][1],
            "weight_decay": group["weight_decay"],
            "eps": group["eps"],
            "amsgrad": False,
            "maximize": False,
        }

    def _take(self, weights: torch.Tensor, gradient: torch.Tensor) -> None:
        means, squares = self._arrays
        self._function([weights], [gradient], [means], [squares], [], [self._count], **self._settings)


class RMSpropStep(FlatStep):
    """The step of RMSprop without momentum."""

    buffers = ("square_avg",)

    def _take(self, weights: torch.Tensor, gradient: torch.Tensor) -> None:
        group, [squares] = self._group, self._arrays
        if group["weight_decay"]:
            gradient = gradient.add(weights, alpha=group["weight_decay"])
        squares.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        weights.sub_(gradient.div(self._compute_root(squares, group["eps"])).mul_(self._rate))

    def _compute_root(self, squares: torch.Tensor, eps: float) -> torch.Tensor:
        return squares.sqrt().add_(eps)


class RMSpropTFLikeStep(RMSpropStep):
    """The step of SB3's RMSprop with the details of TensorFlow's."""

    @property
    def _initial(self) -> float:
        return 1.0

    def _compute_root(self, squares: torch.Tensor, eps: float) -> torch.Tensor:
        return squares.add(eps).sqrt_()

    def _make_step(self, count: int) -> int:
        return count


_FLAT: dict[type[torch.optim.Optimizer], type[FlatStep]] = {
    torch.optim.Adam: AdamStep,
    torch.optim.AdamW: AdamStep,
    torch.optim.RMSprop: RMSpropStep,
    RMSpropTFLike: RMSpropTFLikeStep,
}


def make_optimizer_step(optimizer: torch.optim.Optimizer) -> OptimizerStep:
    """
    :param optimizer: a torch optimizer
    :return: its steps on flat arrays, or its own if its class or one of its options has no counterpart
    :raises NotCovered: if the types of its parameters are not supported
    """
    flat, groups = _FLAT.get(type(optimizer)), optimizer.param_groups
    if flat is None or len(groups) != 1:
        return OwnStep(optimizer)
    is_plain = all(groups[0].get(name, value) == value for name, value in flat.options.items())
    return flat(optimizer) if is_plain else OwnStep(optimizer)
