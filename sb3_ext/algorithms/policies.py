"""Which policy fits an observation space, and whether an algorithm fits an environment at all."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.registry import ALGORITHMS, Algorithm, find_algorithms_for
from sb3_ext.errors import ConfigError
from sb3_ext.problems import suggest_name


def choose_policy(algorithm: Algorithm, observation_space: spaces.Space[Any]) -> str:
    """
    The algorithm's own policy for this kind of observation.

    :param algorithm: whose policies
    :param observation_space: of one environment
    :return: an SB3 policy alias: multi-input for a ``Dict``, convolutional for an image, else an MLP
    :raises ConfigError: if the algorithm has none for this kind of observation
    """
    if isinstance(observation_space, spaces.Dict):
        kind, description = "MultiInput", "a Dict observation"
    elif is_image_space(observation_space):
        kind, description = "Cnn", "an image observation"
    else:
        kind, description = "Mlp", "a flat observation"
    aliases = algorithm.load_class().policy_aliases
    for alias in aliases:
        if alias.startswith(kind):
            return alias
    raise ConfigError(f"agent.policy: {algorithm.id} has no policy for {description}; it has {', '.join(aliases)}")


def check_fit(algorithm: Algorithm, policy: str, env: VecEnv) -> None:
    """
    Refuse a policy, an action space or an environment that the algorithm cannot learn with, before SB3 does.

    :param algorithm: the algorithm
    :param policy: an SB3 policy alias, or ``module:Name``
    :param env: the training environments
    :raises ConfigError: with what was found, and what would fit
    """
    aliases = algorithm.load_class().policy_aliases
    if ":" not in policy and policy not in aliases:
        raise ConfigError(f"agent.policy: {algorithm.id} has no policy '{policy}'; {suggest_name(policy, aliases)}")
    action_space = env.action_space
    if type(action_space).__name__ not in algorithm.action_spaces:
        fitting = find_algorithms_for(type(action_space).__name__)
        advice = f"agent.id could be {', '.join(fitting)}" if fitting else "no algorithm here acts in such a space"
        raise ConfigError(
            f"agent.id: {algorithm.id} acts in {' or '.join(algorithm.action_spaces)} spaces, "
            f"but the environment's action space is {action_space}; {advice}"
        )
    if algorithm.needs_action_masks and not env.has_attr("action_masks"):
        raise ConfigError(
            f"agent.id: {algorithm.id} needs an environment with a method action_masks(), which this one lacks; "
            f"use {ALGORITHMS['ppo'].id}, or wrap it in sb3_contrib.common.wrappers.ActionMasker (env.wrappers)"
        )
    if isinstance(env.observation_space, spaces.Tuple):
        raise ConfigError(
            "env.id: the observation space is a Tuple, which SB3's policies cannot read; "
            "add a wrapper to env.wrappers that turns it into a Dict or a Box"
        )
