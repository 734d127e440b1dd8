"""What the updates of off-policy actor-critic algorithms share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.xla.actors_and_critics import translate_critic
from sb3_ext.engines.xla.device_array import FloatArray, make_float_array
from sb3_ext.engines.xla.jax_runtime import compile_program, repeat, to_numpy
from sb3_ext.engines.xla.optimizers import FlatOptimizer, make_flat_optimizer
from sb3_ext.engines.xla.replays import ReplayMinibatches, choose_capacity, split_steps
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.engines.xla.xla_update import XlaUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate

State = dict[str, Any]
"""Flat arrays by name: weights, buffers of optimizers and target networks."""


@dataclass(frozen=True)
class _Inputs:
    """
    Arguments of a program.

    :param minibatches: what it learns from
    :param coefficients: of each optimizer, by the name of the network, shape (gradient steps, numbers)
    :param noise: standard normal numbers, shape (gradient steps, draws, batch_size, action size)
    :param is_due: whether what is not done at every gradient step is done
    """

    minibatches: ReplayMinibatches
    coefficients: dict[str, SharedArray]
    noise: FloatArray
    is_due: SharedArray


class ActorCriticUpdate(XlaUpdate):
    """
    Base class of updates of off-policy actor-critic algorithms.

    :param model: a SAC, TQC, TD3 or DDPG model
    :raises NotCovered: if its networks or optimizers are not supported
    """

    #: names of the networks that have target networks
    followed: ClassVar[tuple[str, ...]]
    #: names of the statistics that :meth:`_learn` returns
    _statistics: ClassVar[tuple[str, ...]]
    #: number of noise arrays per gradient step
    _num_draws: ClassVar[int]
    #: network that is not trained at every gradient step
    _delayed: ClassVar[str | None] = None

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if model.use_sde:
            raise NotCovered("exploration is state-dependent (use_sde)")
        self._optimizers: dict[str, FlatOptimizer] = {
            name: make_flat_optimizer(optimizer) for name, optimizer in self._find_optimizers().items()
        }
        self._targets = {name: TensorGroup(getattr(model, f"{name}_target").parameters()) for name in self.followed}
        self._critic = translate_critic(model.critic, self._optimizers["critic"].group)
        self._critic_target = translate_critic(model.critic_target, self._targets["critic"])
        self._numbers = SharedArray((len(self._list_numbers()) + 1,))
        self._program = compile_program(self._update, ("single_is_due",))
        self._inputs: dict[tuple[int, int], _Inputs] = {}

    def __call__(self, gradient_steps: int, batch_size: int = 64) -> None:
        """
        Update the model from its replay buffer, and log what ``train`` logs.

        :param gradient_steps: number of gradient steps
        :param batch_size: rows of each minibatch
        """
        model = self.model
        self._set_training_mode()
        update_learning_rate(model, list(self._find_optimizers().values()))
        found: list[dict[str, Any]] = []
        begun = 0
        for count in split_steps(model.replay_buffer, gradient_steps, batch_size):
            inputs = self._get_inputs(count, batch_size)
            # SB3 alternates between the generators of NumPy, for rows, and torch, for noise.
            inputs.minibatches.draw(count)
            self._draw_noise(inputs.noise.tensor[:count])
            found.append(self._take_steps(inputs, begun, count))
            begun += count
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        self._log({name: np.concatenate([part[name] for part in found]) for name in found[0]})

    def _try(self) -> int:
        model = self.model
        count = next(split_steps(model.replay_buffer, max(1, model.gradient_steps), model.batch_size))
        inputs = self._get_inputs(count, model.batch_size)
        inputs.minibatches.take(count)
        self._draw_noise(inputs.noise.tensor[:count])
        rounds = getattr(model, "policy_delay", 1)  # for every kind of gradient step
        for place in range(rounds):
            self._take_steps(inputs, place, count)
        return rounds * count

    def _list_changed(self) -> Iterable[FlatOptimizer | TensorGroup]:
        return [*self._optimizers.values(), *self._targets.values()]

    def _get_inputs(self, count: int, batch_size: int) -> _Inputs:
        capacity = choose_capacity(count)
        key = capacity, batch_size
        num_actions = int(np.prod(self.model.action_space.shape))
        if key not in self._inputs:
            self._inputs[key] = _Inputs(
                ReplayMinibatches(self.model, capacity, batch_size),
                {name: SharedArray((capacity, each.num_coefficients)) for name, each in self._optimizers.items()},
                make_float_array((capacity, self._num_draws, batch_size, num_actions), self.model.device),
                SharedArray((capacity,), np.int32),
            )
        return self._inputs[key]

    def _take_steps(self, inputs: _Inputs, begun: int, count: int) -> dict[str, NDArray[Any]]:
        """:return: statistics by name, each of shape (count,), and ``is_due``"""
        is_due = self._plan(begun + np.arange(count))
        inputs.is_due.numpy[:count] = is_due
        state: State = {}
        for name, group in self._targets.items():
            group.attach()
            state[f"target/{name}"] = group.values.array
        steps = {}
        for name, optimizer in self._optimizers.items():
            state[f"buffers/{name}"], steps[name] = optimizer.read()
            state[f"weights/{name}"] = optimizer.group.values.array
            # The row of a step that is not taken is not used.
            places = np.cumsum(is_due) - 1 if name == self._delayed else np.arange(count)
            rows = np.empty((count, optimizer.num_coefficients), np.float32)
            optimizer.write_coefficients(steps[name], rows)
            inputs.coefficients[name].numpy[:count] = rows[np.maximum(places, 0)]
        self._numbers.numpy[:] = *self._list_numbers().values(), count
        state, statistics = self._program(
            state,
            {name: rows.array for name, rows in inputs.coefficients.items()},
            inputs.minibatches.arrays,
            inputs.noise.array,
            inputs.is_due.array,
            self._numbers.array,
            single_is_due=bool(is_due[0]) if len(inputs.is_due.numpy) == 1 else None,
        )
        for name, group in self._targets.items():
            if f"target/{name}" in state:
                group.values.write(state[f"target/{name}"])
        for name, optimizer in self._optimizers.items():
            taken = int(is_due.sum()) if name == self._delayed else count
            if taken:
                optimizer.write(state[f"weights/{name}"], state[f"buffers/{name}"], steps[name] + taken)
        table = to_numpy(statistics)[:count]
        return {**{name: table[:, place] for place, name in enumerate(self._statistics)}, "is_due": is_due}

    def _update(
        self,
        state: State,
        coefficients: Any,
        rows: Any,
        noise: Any,
        is_due: Any,
        numbers: Any,
        *,
        single_is_due: bool | None,
    ) -> tuple[State, Any]:
        named = dict(zip(self._list_numbers(), numbers, strict=False))

        def learn(place: Any, carry: Any) -> Any:
            state, statistics = carry
            batch, draws, due, row = jax.tree.map(lambda values: values[place], (rows, noise, is_due, coefficients))
            batch.setdefault("discounts", named["gamma"])
            due = due > 0 if single_is_due is None else single_is_due
            state, found = self._learn(dict(state), batch, draws, due, row, named)
            return state, statistics.at[place].set(jnp.stack([found[name] for name in self._statistics]))

        statistics = jnp.zeros((len(noise), len(self._statistics)), jnp.float32)
        after, statistics = repeat(learn, len(noise), numbers[-1], (state, statistics))
        # A program for a single step is compiled for what it does, and returns only what it changes.
        return {name: values for name, values in after.items() if values is not state[name]}, statistics

    def _step(self, name: str, state: State, gradients: Any, row: Any) -> None:
        """Take a step of an optimizer, in place."""
        gradient = self._optimizers[name].group.flatten(gradients)
        weights, buffers = f"weights/{name}", f"buffers/{name}"
        state[weights], state[buffers] = self._optimizers[name].update(
            state[weights], gradient, state[buffers], row[name]
        )

    def _get_parts(self, name: str, state: State) -> Parameters:
        return self._optimizers[name].group.unflatten(state[f"weights/{name}"])

    def _get_target_parts(self, name: str, state: State) -> Parameters:
        return self._targets[name].unflatten(state[f"target/{name}"])

    def _follow(self, name: str, state: State, numbers: Any) -> None:
        target = f"target/{name}"
        state[target] = (1 - numbers["tau"]) * state[target] + numbers["tau"] * state[f"weights/{name}"]

    @abstractmethod
    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """:return: optimizers of the model, by name of the trained network"""

    @abstractmethod
    def _plan(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """
        :param places: indices of gradient steps within this update
        :return: whether what is not done at every gradient step is done at these
        """

    @abstractmethod
    def _list_numbers(self) -> dict[str, float]:
        """:return: hyperparameters that callbacks may change"""

    @abstractmethod
    def _draw_noise(self, noise: torch.Tensor) -> None:
        """Draw torch's random numbers of ``train``; shape (gradient steps, draws, batch_size, action size)."""

    @abstractmethod
    def _learn(self, state: State, batch: Any, draws: Any, due: Any, row: Any, numbers: Any) -> tuple[State, Any]:
        """:return: the state after one gradient step, and statistics by name"""

    @abstractmethod
    def _log(self, statistics: dict[str, Any]) -> None:
        """Log the values that ``train`` logs; each of the statistics has the shape (gradient steps,)."""


def select(condition: Any, compute: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """
    :param condition: a bool when a program is compiled, or a boolean of a program
    :param compute: function for the result if the condition is true
    :param otherwise: function for the result if it is false
    :return: the result
    """
    if isinstance(condition, bool):
        return compute() if condition else otherwise()
    return jax.lax.cond(condition, compute, otherwise)


def draw_normal(noise: torch.Tensor, std: float = 1.0) -> None:
    """
    Draw as separate calls of SB3 for each minibatch do.

    :param noise: contiguous array for the numbers, shape (…, batch_size, action size)
    :param std: standard deviation
    """
    size = noise[0, 0].numel()
    # On a CPU, torch draws 16 numbers at a time, and the last ones of an array again if their number is not a multiple
    # of 16.
    parts = [noise] if noise.device.type == "cpu" and size % 16 == 0 else noise.view(-1, size)
    for part in parts:
        part.normal_(0, std)
