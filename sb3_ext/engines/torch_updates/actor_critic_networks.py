"""The networks of off-policy actor-critic algorithms, with gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from sb3_contrib.tqc.policies import Actor as TQCActor
from sb3_contrib.tqc.policies import Critic as QuantileCritic
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.torch_updates.backpropagation import ChainLayer, make_layer
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.flat_tensors import FlatTensors

Tensor = torch.Tensor

_SQUASH_EPSILON = 1e-6  # as in SB3's SquashedDiagGaussianDistribution


class CriticNetwork:
    """
    The critics of SAC, TQC, TD3 or DDPG.

    :param critic: the module with all critics
    :param is_trained: ``False`` for target networks
    :raises NotCovered: if the critic is not supported
    """

    def __init__(self, critic: Any, *, is_trained: bool = True) -> None:
        if type(critic) not in (ContinuousCritic, QuantileCritic):
            raise NotCovered(f"the critic is a {name_type(critic)}")
        self.features = FeatureLayer(critic, critic.features_extractor, is_trained=is_trained)
        self._is_extractor_trained = is_trained and self.features.is_trained and not critic.share_features_extractor
        self._networks = [ChainLayer([make_layer(net, is_trained=is_trained)]) for net in critic.q_networks]
        self._action_size = math.prod(critic.action_space.shape)

    def forward(self, observations: Any, actions: Tensor, *, only_first: bool = False) -> Tensor:
        """
        :param observations: as stored in buffers
        :param actions: scaled actions, shape (batch, action size)
        :param only_first: use the first critic only
        :return: shape (networks, batch, numbers)
        """
        inputs = torch.cat([self.features.forward(observations), actions], 1)
        networks = self._networks[:1] if only_first else self._networks
        return torch.stack([network.forward(inputs) for network in networks])

    def backward(self, slopes: Tensor) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param slopes: gradient with respect to the outputs
        """
        to_inputs = [
            network.backward(part, to_inputs=self._is_extractor_trained)
            for network, part in zip(self._networks, slopes.unbind(), strict=False)
        ]
        if self._is_extractor_trained:
            self.features.backward(_add(to_inputs)[:, : -self._action_size])

    def backward_to_actions(self, slopes: Tensor) -> Tensor:
        """
        :param slopes: gradient of a loss with respect to the outputs of the last :meth:`forward`
        :return: gradient with respect to the actions
        """
        to_inputs = [
            network.backward(part, to_weights=False, to_inputs=True)
            for network, part in zip(self._networks, slopes.unbind(), strict=False)
        ]
        return _add(to_inputs)[:, -self._action_size :]


class GaussianActor:
    """
    The actor of SAC or TQC.

    :param actor: the actor
    :raises NotCovered: if the actor is not supported
    """

    def __init__(self, actor: Any) -> None:
        if type(actor) not in (SACActor, TQCActor):
            raise NotCovered(f"the actor is a {name_type(actor)}")
        self.features = FeatureLayer(actor, actor.features_extractor)
        self._latent = ChainLayer([make_layer(actor.latent_pi)])
        self._mean, self._log_std = make_layer(actor.mu), make_layer(actor.log_std)

    def forward(self, observations: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
        """
        :param observations: as stored in buffers
        :param noise: standard normal numbers, shape (batch, action size)
        :return: actions between -1 and 1, and their log-probabilities of shape (batch,)
        """
        hidden = self._latent.forward(self.features.forward(observations))
        raw = self._log_std.forward(hidden)
        log_std = raw.clamp(LOG_STD_MIN, LOG_STD_MAX)
        self._is_bounded = raw != log_std
        self._spread = log_std.exp().mul_(noise)
        gaussian = self._mean.forward(hidden).add_(self._spread)
        decay = gaussian.abs().mul_(-2).exp_()
        # 1 - tanh², without the difference of two numbers near 1
        self._derivative = decay.mul(4).div_(decay.add_(1).square_())
        self._actions = gaussian.tanh_()
        terms = noise.square().mul_(-0.5).sub_(log_std).sub_((self._derivative + _SQUASH_EPSILON).log_())
        return self._actions, terms.sum(1).sub_(0.5 * math.log(2 * math.pi) * noise.shape[1])

    def backward(self, to_actions: Tensor, ent_coef: Tensor) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param to_actions: gradient with respect to the actions
        :param ent_coef: the loss also has the mean log-probability, times this
        """
        derivative, factor = self._derivative, ent_coef / len(to_actions)
        # The gradient of -log(1 - tanh² + epsilon) is 2 tanh (1 - tanh²) / (1 - tanh² + epsilon).
        squash = self._actions.mul(2).mul_(derivative).div_(derivative + _SQUASH_EPSILON)
        to_mean = squash.mul_(factor).addcmul_(to_actions, derivative)
        to_log_std = to_mean.mul(self._spread).sub_(factor).masked_fill_(self._is_bounded, 0.0)
        to_hidden = _add(
            [self._mean.backward(to_mean, to_inputs=True), self._log_std.backward(to_log_std, to_inputs=True)]
        )
        to_features = self._latent.backward(to_hidden, to_inputs=self.features.is_trained)
        if to_features is not None:
            self.features.backward(to_features)


class PlainActor:
    """
    The actor of TD3 or DDPG.

    :param actor: the actor
    :param is_trained: ``False`` for the target network
    :raises NotCovered: if the actor is not supported
    """

    def __init__(self, actor: Any, *, is_trained: bool = True) -> None:
        if type(actor) is not TD3Actor:
            raise NotCovered(f"the actor is a {name_type(actor)}")
        self.features = FeatureLayer(actor, actor.features_extractor, is_trained=is_trained)
        self._layers = ChainLayer([make_layer(actor.mu, is_trained=is_trained)])

    def forward(self, observations: Any) -> Tensor:
        """
        :param observations: as stored in buffers
        :return: actions between -1 and 1
        """
        return self._layers.forward(self.features.forward(observations))

    def backward(self, to_actions: Tensor) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param to_actions: gradient with respect to the actions
        """
        to_features = self._layers.backward(to_actions, to_inputs=self.features.is_trained)
        if to_features is not None:
            self.features.backward(to_features)


class TargetWeights:
    """
    The weights of a target network, which follow those of a trained one.

    :param network: the trained network
    :param target: the target network
    :param weights: weights of the optimizer of the trained network
    :raises NotCovered: if the optimizer does not train all weights of the network
    """

    def __init__(self, network: Any, target: Any, weights: FlatTensors) -> None:
        self._weights, self._flat = weights, FlatTensors(target.parameters())
        if [id(tensor) for tensor in network.parameters()] != [id(tensor) for tensor in weights.tensors]:
            raise NotCovered("a network has weights that its optimizer does not train")
        if any(name.endswith("running_mean") for name, _buffer in network.named_buffers()):
            raise NotCovered("the network has a batch normalisation")

    @property
    def values(self) -> Tensor:
        """The flat array of the target network's weights."""
        return self._flat.values

    def begin(self) -> None:
        """Attach the weights to the flat array."""
        self._flat.attach()

    def follow(self, tau: float) -> None:
        """
        Move the target network as SB3's ``polyak_update`` does.

        :param tau: fraction of the way to the trained network
        """
        self._flat.values.mul_(1 - tau).add_(self._weights.values, alpha=tau)


def _add(gradients: Iterable[Tensor | None]) -> Tensor:
    total: Tensor | None = None
    for gradient in gradients:
        assert gradient is not None, "the gradient with respect to the inputs was asked for"
        total = gradient if total is None else total.add_(gradient)
    assert total is not None, "there is at least one network"
    return total
