"""The updates of DQN and QR-DQN."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sb3_contrib import QRDQN
from sb3_contrib.qrdqn.policies import QuantileNetwork
from stable_baselines3 import DQN
from stable_baselines3.dqn.policies import QNetwork

from sb3_ext.algorithms.masked_dqn import ILLEGAL_VALUE, MASK, MaskedQNetwork, MaskedQuantileNetwork
from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.jax_runtime import compile_program, repeat, to_numpy
from sb3_ext.engines.xla.layers import Layer, translate
from sb3_ext.engines.xla.losses import clip_gradient, compute_huber_loss, compute_quantile_loss
from sb3_ext.engines.xla.optimizers import FlatOptimizer, make_flat_optimizer
from sb3_ext.engines.xla.preprocessing import translate_extractor
from sb3_ext.engines.xla.replays import ReplayMinibatches, choose_capacity, split_steps
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.engines.xla.xla_update import XlaUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate


@dataclass(frozen=True)
class _ValueInputs:
    """
    Arguments of a program.

    :param minibatches: what it learns from
    :param coefficients: of the optimizer, shape (gradient steps, numbers)
    """

    minibatches: ReplayMinibatches
    coefficients: SharedArray


class QLearningUpdate(XlaUpdate):
    """
    Base class of updates of DQN and QR-DQN.

    :param model: a DQN or QR-DQN model, or a variant with action masks
    :raises NotCovered: if its network or optimizer is not supported
    """

    #: the attributes of the model that hold its networks
    networks: ClassVar[tuple[str, str]]

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._optimizer = make_flat_optimizer(model.policy.optimizer)
        network, target = (getattr(model, name) for name in self.networks)
        self._target_group = TensorGroup(target.parameters())
        self._numbers = SharedArray((3,))
        self._network = self._translate(network, self._optimizer.group)
        self._target = self._translate(target, self._target_group)
        self._program = compile_program(self._update, ("clips",))
        self._inputs: dict[tuple[int, int], _ValueInputs] = {}

    def __call__(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update the model from its replay buffer, and log what ``train`` logs.

        :param gradient_steps: number of gradient steps
        :param batch_size: rows of each minibatch
        """
        model = self.model
        self._set_training_mode()
        update_learning_rate(model, model.policy.optimizer)
        losses = []
        for count in split_steps(model.replay_buffer, gradient_steps, batch_size):
            inputs = self._get_inputs(count, batch_size)
            inputs.minibatches.draw(count)
            losses.append(self._learn(inputs, count))
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        model.logger.record("train/loss", np.concatenate(losses).mean())

    def _try(self) -> int:
        model = self.model
        count = next(split_steps(model.replay_buffer, max(1, model.gradient_steps), model.batch_size))
        inputs = self._get_inputs(count, model.batch_size)
        inputs.minibatches.take(count)
        self._learn(inputs, count)
        return count

    def _list_changed(self) -> Iterable[FlatOptimizer | TensorGroup]:
        return [self._optimizer]

    def _get_inputs(self, count: int, batch_size: int) -> _ValueInputs:
        key = choose_capacity(count), batch_size
        if key not in self._inputs:
            self._inputs[key] = _ValueInputs(
                ReplayMinibatches(self.model, *key), SharedArray((key[0], self._optimizer.num_coefficients))
            )
        return self._inputs[key]

    def _learn(self, inputs: _ValueInputs, count: int) -> NDArray[np.float32]:
        """:return: loss of each minibatch"""
        model, optimizer = self.model, self._optimizer
        self._target_group.attach()
        buffers, step = optimizer.read()
        optimizer.write_coefficients(step, inputs.coefficients.numpy[:count])
        bound = model.max_grad_norm
        self._numbers.numpy[:] = model.gamma, 0.0 if bound is None else bound, count
        weights, buffers, losses = self._program(
            optimizer.group.values.array,
            buffers,
            self._target_group.values.array,
            inputs.coefficients.array,
            inputs.minibatches.arrays,
            self._numbers.array,
            clips=bound is not None,
        )
        optimizer.write(weights, buffers, step + count)
        return to_numpy(losses)[:count]

    def _update(
        self,
        weights: Any,
        buffers: Any,
        target_weights: Any,
        coefficients: Any,
        rows: Any,
        numbers: Any,
        *,
        clips: bool,
    ) -> tuple[Any, Any, Any]:
        optimizer, group = self._optimizer, self._optimizer.group
        gamma, max_grad_norm, count = numbers
        capacity, batch_size = rows["rewards"].shape[:2]
        # The target network does not change: compute its values for all minibatches at once.
        flat = jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), rows["next_observations"])
        next_values = self._choose_next(self._target(self._target_group.unflatten(target_weights), flat))
        next_values = next_values.reshape(capacity, batch_size, -1)
        targets = rows["rewards"] + (1 - rows["dones"]) * rows.get("discounts", gamma) * next_values

        def compute_loss(parts: Parameters, observations: Any, actions: Any, target: Any) -> Any:
            return self._compute_loss(self._network(parts, observations), actions.astype(jnp.int32), target)

        def learn(place: Any, carry: Any) -> Any:
            weights, buffers, losses = carry
            batch = jax.tree.map(lambda values: values[place], (rows["observations"], rows["actions"], targets))
            loss, gradients = jax.value_and_grad(compute_loss)(group.unflatten(weights), *batch)
            gradient = group.flatten(gradients)
            if clips:
                gradient = clip_gradient(gradient, max_grad_norm)
            weights, buffers = optimizer.update(weights, gradient, buffers, coefficients[place])
            return weights, buffers, losses.at[place].set(loss)

        start = (weights, buffers, jnp.zeros(capacity, jnp.float32))
        after: tuple[Any, Any, Any] = repeat(learn, capacity, count, start)
        return after

    @abstractmethod
    def _translate(self, network: Any, group: TensorGroup) -> Layer:
        """:return: function from parameters and observations to the outputs of the network"""

    @abstractmethod
    def _choose_next(self, outputs: Any) -> Any:
        """:return: outputs of the target network for the best action, shape (batch, numbers)"""

    @abstractmethod
    def _compute_loss(self, outputs: Any, actions: Any, targets: Any) -> Any:
        """:return: loss of one minibatch; actions have the shape (batch, 1)"""


class DQNUpdate(QLearningUpdate):
    """Replacement of DQN's ``train``."""

    algorithms = (DQN,)
    networks = ("q_net", "q_net_target")

    def _translate(self, network: Any, group: TensorGroup) -> Layer:
        values = _translate_values(network, network.q_net, group, (QNetwork, MaskedQNetwork))
        if type(network) is QNetwork:
            return values
        return lambda parameters, observations: jnp.where(
            observations[MASK] > 0, values(parameters, observations), ILLEGAL_VALUE
        )

    def _choose_next(self, outputs: Any) -> Any:
        return outputs.max(axis=1)

    def _compute_loss(self, outputs: Any, actions: Any, targets: Any) -> Any:
        return compute_huber_loss(jnp.take_along_axis(outputs, actions, 1) - targets).mean()


class QRDQNUpdate(QLearningUpdate):
    """Replacement of QR-DQN's ``train``."""

    algorithms = (QRDQN,)
    networks = ("quantile_net", "quantile_net_target")

    def _translate(self, network: Any, group: TensorGroup) -> Layer:
        values = _translate_values(network, network.quantile_net, group, (QuantileNetwork, MaskedQuantileNetwork))
        shape = (-1, network.n_quantiles, int(network.action_space.n))
        if type(network) is QuantileNetwork:
            return lambda parameters, observations: values(parameters, observations).reshape(shape)
        return lambda parameters, observations: jnp.where(
            observations[MASK][:, None, :] > 0, values(parameters, observations).reshape(shape), ILLEGAL_VALUE
        )

    def _choose_next(self, outputs: Any) -> Any:
        best = outputs.mean(axis=1, keepdims=True).argmax(axis=2, keepdims=True)
        return jnp.take_along_axis(outputs, best, 2)[:, :, 0]

    def _compute_loss(self, outputs: Any, actions: Any, targets: Any) -> Any:
        quantiles = jnp.take_along_axis(outputs, actions[:, :, None], 2)[:, :, 0]
        return compute_quantile_loss(quantiles, targets).sum(axis=-2).mean()


def _translate_values(network: Any, module: Any, group: TensorGroup, known: tuple[type[Any], ...]) -> Layer:
    if type(network) not in known:
        raise NotCovered(f"the network is a {name_type(network)}")
    extract, compute = translate_extractor(network, network.features_extractor, group), translate(module, group)
    return lambda parameters, observations: compute(parameters, extract(parameters, observations))
