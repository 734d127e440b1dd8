"""Compute actions and values of SB3's policies with NumPy, for a fixed number of observations at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from sb3_contrib.tqc.policies import Actor as TQCActor
from sb3_contrib.tqc.policies import TQCPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, SACPolicy
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor
from stable_baselines3.td3.policies import TD3Policy

from sb3_ext.algorithms.masked_dqn import ILLEGAL_VALUE, MASK, MaskedQNetwork, MaskedQuantileNetwork
from sb3_ext.engines.collecting.action_sampling import make_sampling
from sb3_ext.engines.collecting.layer_programs import Activations, LayerProgram
from sb3_ext.engines.collecting.observation_inputs import FeatureProgram, Observations, count_rows
from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.internals.sb3 import computes_like
from sb3_ext.internals.torch import has_hooks

Masks = NDArray[Any] | None
"""True for each action that is allowed, shape (rows, …); ``None`` without masks."""


class PolicyProgram(ABC):
    """
    Computes actions of a policy for a fixed number of observations.

    :param policy: a policy in evaluation mode
    :param example: observations of the same shapes as those to come
    :raises NotCovered: if the policy is not supported
    """

    #: stock classes of policies
    policies: ClassVar[tuple[type[BasePolicy], ...]]

    def __init__(self, policy: Any, example: Observations) -> None:
        validate_methods(policy, self.policies)
        self.policy = policy
        self.rows = count_rows(example)
        self._programs: list[LayerProgram | FeatureProgram] = []

    @abstractmethod
    def choose(self, observations: Observations, *, deterministic: bool, masks: Masks = None) -> NDArray[Any]:
        """
        Compute actions.

        :param observations: array of shape (rows, …), or a ``dict`` of these
        :param deterministic: choose the most likely actions, instead of drawing from torch's global generator
        :param masks: allowed actions of MaskablePPO
        :return: actions, as the policy's networks output them: before scaling or clipping, shape (rows, …)
        """

    @property
    def calls_modules(self) -> bool:
        """Whether modules are called, whose result may depend on ``training``."""
        return any(program.calls_modules for program in self._programs)

    def has_moved(self) -> bool:
        """:return: whether parameters are no longer where they were, so that this program computes with old ones"""
        return any(isinstance(program, LayerProgram) and program.has_moved() for program in self._programs)

    def _make_features(self, model: BaseModel, extractor: BaseFeaturesExtractor, example: Any) -> FeatureProgram:
        features = FeatureProgram(model, extractor, example)
        self._programs.append(features)
        return features

    def _make_layers(self) -> LayerProgram:
        program = LayerProgram(self.rows)
        self._programs.append(program)
        return program


class ActorCriticProgram(PolicyProgram):
    """Computes actions, values and log-probabilities of PPO, A2C, MaskablePPO and TRPO."""

    policies = (ActorCriticPolicy, MaskableActorCriticPolicy)

    def __init__(self, policy: Any, example: Observations) -> None:
        super().__init__(policy, example)
        extractor = policy.mlp_extractor
        if type(extractor) is not MlpExtractor or has_hooks(extractor):
            raise NotCovered(f"the policy has a {name_type(extractor)}")
        self._policy_features = self._make_features(policy, policy.pi_features_extractor, example)
        self._value_features = self._policy_features
        if not policy.share_features_extractor:
            self._value_features = self._make_features(policy, policy.vf_features_extractor, example)
        self._policy_layers, self._value_layers = self._make_layers(), self._make_layers()
        latent = self._policy_layers.add(extractor.policy_net, self._policy_features.outputs)
        outputs = self._policy_layers.add(policy.action_net, latent)
        latent = self._value_layers.add(extractor.value_net, self._value_features.outputs)
        self._values = self._value_layers.add(policy.value_net, latent)
        self._sampling = make_sampling(policy.action_dist, outputs, getattr(policy, "log_std", None))
        self._action_shape = (-1, *policy.action_space.shape)

    def act(
        self, observations: Observations, masks: Masks = None
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """
        Compute what the policy's ``forward`` returns.

        :param observations: array of shape (rows, …), or a ``dict`` of these
        :param masks: allowed actions of MaskablePPO
        :return: drawn actions, values of shape (rows, 1) and log-probabilities of shape (rows,), in new arrays
        """
        self._policy_features(observations)
        if self._value_features is not self._policy_features:
            self._value_features(observations)
        self._policy_layers()
        self._value_layers()
        actions, log_probs = self._sampling.draw(masks)
        return actions.reshape(self._action_shape), self._values.array.copy(), log_probs

    def compute_values(self, observations: Observations) -> NDArray[np.float32]:
        """
        :param observations: array of shape (rows, …), or a ``dict`` of these
        :return: values in a new array of shape (rows, 1)
        """
        self._value_features(observations)
        self._value_layers()
        return self._values.array.copy()

    def choose(self, observations: Observations, *, deterministic: bool, masks: Masks = None) -> NDArray[Any]:
        """See :meth:`PolicyProgram.choose`."""
        self._policy_features(observations)
        self._policy_layers()
        actions = self._sampling.choose(masks) if deterministic else self._sampling.draw(masks)[0]
        return actions.reshape(self._action_shape)


class GreedyProgram(PolicyProgram):
    """Computes the best actions of DQN and QR-DQN, also with action masks."""

    policies = (DQNPolicy, QRDQNPolicy)

    def __init__(self, policy: Any, example: Observations) -> None:
        super().__init__(policy, example)
        self._num_quantiles = None
        network: Any
        known: Sequence[type[BaseModel]]
        if isinstance(policy, QRDQNPolicy):
            network, known = policy.quantile_net, (QuantileNetwork, MaskedQuantileNetwork)
            self._num_quantiles, layers = network.n_quantiles, network.quantile_net
        else:
            network, known = policy.q_net, (QNetwork, MaskedQNetwork)
            layers = network.q_net
        validate_network(network, known)
        self._features = self._make_features(network, network.features_extractor, example)
        self._layers = self._make_layers()
        self._outputs = self._layers.add(layers, self._features.outputs)
        self._is_masked = type(network) in (MaskedQNetwork, MaskedQuantileNetwork)

    def choose(self, observations: Observations, *, deterministic: bool, masks: Masks = None) -> NDArray[np.int64]:
        """See :meth:`PolicyProgram.choose`."""
        self._features(observations)
        self._layers()
        values = self._outputs.array
        if self._num_quantiles is not None:
            values = values.reshape(self.rows, self._num_quantiles, -1).mean(axis=1)
        if self._is_masked:
            values = np.where(observations[MASK] > 0, values, np.float32(ILLEGAL_VALUE))
        actions: NDArray[np.int64] = values.argmax(axis=1)
        return actions


class DeterministicProgram(PolicyProgram):
    """Computes actions of TD3 and DDPG."""

    policies = (TD3Policy,)

    def __init__(self, policy: Any, example: Observations) -> None:
        super().__init__(policy, example)
        actor = policy.actor
        validate_network(actor, (TD3Actor,))
        self._features = self._make_features(actor, actor.features_extractor, example)
        self._layers = self._make_layers()
        self._outputs = self._layers.add(actor.mu, self._features.outputs)

    def choose(self, observations: Observations, *, deterministic: bool, masks: Masks = None) -> NDArray[np.float32]:
        """See :meth:`PolicyProgram.choose`."""
        self._features(observations)
        self._layers()
        return self._outputs.array.copy()


class SquashedGaussianProgram(PolicyProgram):
    """Computes actions of SAC and TQC."""

    policies = (SACPolicy, TQCPolicy)

    def __init__(self, policy: Any, example: Observations) -> None:
        super().__init__(policy, example)
        actor = policy.actor
        validate_network(actor, (SACActor, TQCActor))
        if actor.use_sde:
            raise NotCovered("exploration is state-dependent (use_sde)")
        self._features = self._make_features(actor, actor.features_extractor, example)
        self._layers = self._make_layers()
        latent = self._layers.add(actor.latent_pi, self._features.outputs)
        self._means = self._layers.add(actor.mu, latent)
        self._log_std = self._layers.add(actor.log_std, latent)
        self._noise = Activations(*self._means.array.shape)

    def choose(self, observations: Observations, *, deterministic: bool, masks: Masks = None) -> NDArray[np.float32]:
        """See :meth:`PolicyProgram.choose`."""
        self._features(observations)
        self._layers()
        if deterministic:
            return np.tanh(self._means.array)
        self._noise.tensor.normal_()
        std = np.exp(np.minimum(np.maximum(self._log_std.array, LOG_STD_MIN), LOG_STD_MAX))
        actions: NDArray[np.float32] = np.tanh(self._means.array + self._noise.array * std)
        return actions


PROGRAMS: Sequence[type[PolicyProgram]] = (
    ActorCriticProgram,
    GreedyProgram,
    DeterministicProgram,
    SquashedGaussianProgram,
)
"""The program of each kind of policy."""


def make_program(policy: Any, example: Observations) -> PolicyProgram:
    """
    :param policy: a policy in evaluation mode
    :param example: observations of the same shapes as those to come
    :return: the program that computes its actions
    :raises NotCovered: if there is none
    """
    for program in PROGRAMS:
        if isinstance(policy, program.policies):
            return program(policy, example)
    raise NotCovered(f"the policy is a {name_type(policy)}")


def scale_actions(policy: BasePolicy, actions: NDArray[Any]) -> NDArray[Any]:
    """
    Scale or clip actions to the bounds of the action space, as ``predict`` does.

    :param policy: an SB3 policy
    :param actions: outputs of the policy
    :return: actions for the environment
    """
    space = policy.action_space
    if not isinstance(space, spaces.Box):
        return actions
    if policy.squash_output:
        return policy.unscale_action(actions)
    clipped: NDArray[Any] = np.minimum(np.maximum(actions, space.low), space.high)
    return clipped


def validate_methods(policy: Any, stock: Sequence[type[BasePolicy]]) -> None:
    """
    Check that no method is overridden with which a stock policy computes actions.

    :param policy: a policy
    :param stock: stock classes
    :raises NotCovered: if one is
    """
    if has_hooks(policy) or not any(computes_like(policy, kind) for kind in stock if isinstance(policy, kind)):
        raise NotCovered(f"the policy is a {name_type(policy)}, which computes actions in its own way")


def validate_network(network: Any, known: Sequence[type[BaseModel]]) -> None:
    """
    Check the class of a part of a policy.

    :param network: an actor or a Q-network
    :param known: supported classes
    :raises NotCovered: if it is of another class
    """
    if type(network) not in known or has_hooks(network) or not computes_like(network, type(network)):
        raise NotCovered(f"the policy has a {name_type(network)}")
