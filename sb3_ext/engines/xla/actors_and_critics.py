"""Actors and critics of off-policy algorithms, as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from sb3_contrib.tqc.policies import Actor as TQCActor
from sb3_contrib.tqc.policies import Critic as QuantileCritic
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.layers import translate
from sb3_ext.engines.xla.preprocessing import translate_extractor
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup

_CRITICS = (ContinuousCritic, QuantileCritic)


def translate_critic(critic: Any, group: TensorGroup) -> Callable[[Parameters, Any, Any], Any]:
    """
    :param critic: a critic of SB3 or SB3-Contrib
    :param group: group of its parameters
    :return: function from parameters, observations and actions to the outputs of the networks, shape (batch, networks,
        numbers)
    :raises NotCovered: if the critic is not supported
    """
    if type(critic) not in _CRITICS:
        raise NotCovered(f"the critic is a {name_type(critic)}")
    extract = translate_extractor(critic, critic.features_extractor, group)
    networks = [translate(network, group) for network in critic.q_networks]

    def apply(parameters: Parameters, observations: Any, actions: Any) -> Any:
        inputs = jnp.concatenate([extract(parameters, observations), actions], axis=1)
        return jnp.stack([network(parameters, inputs) for network in networks], axis=1)

    return apply


def translate_gaussian_actor(actor: Any, group: TensorGroup) -> Callable[[Parameters, Any], tuple[Any, Any]]:
    """
    :param actor: actor of SAC or TQC
    :param group: group of its parameters
    :return: function from parameters and observations to means and logarithms of standard deviations, before squashing
    :raises NotCovered: if the actor is not supported
    """
    if type(actor) not in (SACActor, TQCActor):
        raise NotCovered(f"the actor is a {name_type(actor)}")
    extract = translate_extractor(actor, actor.features_extractor, group)
    latent, mean, log_std = (translate(layer, group) for layer in (actor.latent_pi, actor.mu, actor.log_std))

    def apply(parameters: Parameters, observations: Any) -> tuple[Any, Any]:
        hidden = latent(parameters, extract(parameters, observations))
        return mean(parameters, hidden), jnp.clip(log_std(parameters, hidden), LOG_STD_MIN, LOG_STD_MAX)

    return apply


def translate_plain_actor(actor: Any, group: TensorGroup) -> Callable[[Parameters, Any], Any]:
    """
    :param actor: actor of TD3 or DDPG
    :param group: group of its parameters
    :return: function from parameters and observations to actions
    :raises NotCovered: if the actor is not supported
    """
    if type(actor) is not TD3Actor:
        raise NotCovered(f"the actor is a {name_type(actor)}")
    extract, act = translate_extractor(actor, actor.features_extractor, group), translate(actor.mu, group)
    return lambda parameters, observations: act(parameters, extract(parameters, observations))
