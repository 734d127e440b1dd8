"""The updates of DQN and QR-DQN in torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from sb3_contrib import QRDQN
from sb3_contrib.qrdqn.policies import QuantileNetwork
from stable_baselines3 import DQN
from stable_baselines3.dqn.policies import QNetwork

from sb3_ext.algorithms.masked_dqn import ILLEGAL_VALUE, MASK, MaskedQNetwork, MaskedQuantileNetwork
from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.torch_updates.backpropagation import ChainLayer, make_layer
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.minibatch_graph import MinibatchGraph
from sb3_ext.engines.torch_updates.quantile_slopes import compare_quantiles
from sb3_ext.engines.torch_updates.replay_minibatches import draw_minibatches, join, make_placeholders
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate

Tensor = torch.Tensor


class ValueNetwork:
    """
    The network of DQN or QR-DQN, with gradients.

    :param network: the network
    :param module: its layers after the features
    :param is_trained: ``False`` for a target network
    """

    def __init__(self, network: Any, module: Any, is_trained: bool) -> None:
        self.features = FeatureLayer(network, network.features_extractor, is_trained=is_trained)
        self._layers = ChainLayer([make_layer(module, is_trained=is_trained)])
        self._shape = (-1, getattr(network, "n_quantiles", 1), int(network.action_space.n))
        self._is_masked = isinstance(network, (MaskedQNetwork, MaskedQuantileNetwork))

    def forward(self, observations: Any) -> Tensor:
        """
        :param observations: as stored in buffers
        :return: values, shape (batch, quantiles, actions)
        """
        values = self._layers.forward(self.features.forward(observations)).view(self._shape)
        if self._is_masked:
            self._is_illegal = (observations[MASK] <= 0)[:, None, :]
            values = values.masked_fill(self._is_illegal, ILLEGAL_VALUE)
        return values

    def backward(self, slopes: Tensor) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param slopes: gradient with respect to the values, which is overwritten
        """
        if self._is_masked:
            slopes.masked_fill_(self._is_illegal, 0.0)
        to_features = self._layers.backward(slopes.flatten(1), to_inputs=self.features.is_trained)
        if to_features is not None:
            self.features.backward(to_features)


class TorchQLearningUpdate(TorchUpdate):
    """
    Base class of updates of DQN and QR-DQN.

    :param model: a DQN or QR-DQN model, or a variant with action masks
    :raises NotCovered: if its network is not supported
    """

    #: the attributes of the model that hold its networks
    networks: ClassVar[tuple[str, str]]
    #: the attribute of a network that holds its layers
    layers: ClassVar[str]
    #: supported classes of networks
    known: ClassVar[tuple[type[Any], ...]]

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        network, target = (getattr(model, name) for name in self.networks)
        if type(network) not in self.known:
            raise NotCovered(f"the network is a {name_type(network)}")
        self._network = ValueNetwork(network, getattr(network, self.layers), is_trained=True)
        self._target = ValueNetwork(target, getattr(target, self.layers), is_trained=False)
        self._graph = self._make_graph()

    def _list_features(self) -> Sequence[FeatureLayer]:
        return self._network.features, self._target.features

    def _update(self, gradient_steps: int, batch_size: int = 100) -> None:
        model = self.model
        model.policy.set_training_mode(True)
        update_learning_rate(model, model.policy.optimizer)
        losses: list[Tensor] = []
        step = self._steps["policy"]
        step.begin()
        for samples in draw_minibatches(model, gradient_steps, batch_size):
            losses += self._learn(samples)
        step.finish()
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        model.logger.record("train/loss", torch.stack(losses).mean().item())

    def _try(self) -> int:
        samples = make_placeholders(self.model)
        self._learn(samples)
        return len(samples)

    def _learn(self, samples: Sequence[Any]) -> list[Tensor]:
        """:return: losses of minibatches"""
        if self._graph is not None:
            return self._replay(self._graph, samples)
        # The target network does not change: compute its values for all minibatches at once.
        next_values = self._choose_next(self._target.forward(join([sample.next_observations for sample in samples])))
        parts = next_values.chunk(len(samples))
        return [self._take_step(sample, values) for sample, values in zip(samples, parts, strict=True)]

    def _replay(self, graph: MinibatchGraph, samples: Sequence[Any]) -> list[Tensor]:
        model, kind = self.model, type(samples[0])

        def learn(inputs: Any, outputs: dict[str, Tensor]) -> None:
            sample = kind(**inputs)
            next_values = self._choose_next(self._target.forward(sample.next_observations))
            outputs["loss"].copy_(self._take_step(sample, next_values))

        read = (*model.policy.parameters(), *model.policy.buffers())
        graph.begin(learn, (kind, model.gamma, model.max_grad_norm), read)
        losses = torch.zeros(len(samples), device=model.device)
        for sample, loss in zip(samples, losses, strict=True):
            graph.learn(sample._asdict(), {"loss": loss})
        return list(losses)

    def _take_step(self, sample: Any, next_values: Tensor) -> Tensor:
        """:return: loss of a minibatch"""
        step, bound = self._steps["policy"], self.model.max_grad_norm
        discounts = self.model.gamma if sample.discounts is None else sample.discounts
        targets = torch.addcmul(sample.rewards, (1 - sample.dones).mul_(discounts), next_values)
        outputs = self._network.forward(sample.observations)
        actions = sample.actions.long()[:, None, :].expand(-1, outputs.shape[1], -1)
        loss, slopes = self._compute_loss(outputs.gather(2, actions)[:, :, 0], targets)
        self._network.backward(torch.zeros_like(outputs).scatter_(2, actions, slopes[:, :, None]))
        step.average()
        if bound is not None:
            step.clip(bound)
        step.take()
        return loss

    @abstractmethod
    def _choose_next(self, outputs: Tensor) -> Tensor:
        """:return: outputs of the target network for the best action, shape (batch, quantiles)"""

    @abstractmethod
    def _compute_loss(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """:return: loss, and its gradient with respect to the values, shape (batch, quantiles)"""


class TorchDQNUpdate(TorchQLearningUpdate):
    """Replacement of DQN's ``train``."""

    algorithms: ClassVar[tuple[type[Any], ...]] = (DQN,)
    networks = ("q_net", "q_net_target")
    layers = "q_net"
    known = (QNetwork, MaskedQNetwork)

    def _choose_next(self, outputs: Tensor) -> Tensor:
        return outputs.amax(2)

    def _compute_loss(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        errors = values - targets
        slopes = errors.clamp(-1, 1)
        # Huber's loss: error² / 2 within 1, else |error| - 1/2
        return errors.sub_(slopes * 0.5).mul_(slopes).mean(), slopes.div_(len(values))


class TorchQRDQNUpdate(TorchQLearningUpdate):
    """Replacement of QR-DQN's ``train``."""

    algorithms = (QRDQN,)
    networks = ("quantile_net", "quantile_net_target")
    layers = "quantile_net"
    known = (QuantileNetwork, MaskedQuantileNetwork)

    def _choose_next(self, outputs: Tensor) -> Tensor:
        best = outputs.mean(1, keepdim=True).argmax(2, keepdim=True).expand(-1, outputs.shape[1], 1)
        return outputs.gather(2, best)[:, :, 0]

    def _compute_loss(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss, slopes = compare_quantiles(values, targets)
        return loss.sum().div_(targets.numel()), slopes.div_(targets.numel())
