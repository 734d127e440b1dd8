"""Choose a policy for an observation space, and validate that an algorithm fits an environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, Algorithm
from sb3_ext.algorithms.space_rules import (
    SMALLEST_IMAGE,
    describe_space,
    find_action_problems,
    find_observation_problems,
    find_small_images,
    get_parts,
    is_image,
)
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Problem, suggest_name

_POLICY = ("agent", "policy")
_EXTRACTOR = "features_extractor_class"


def choose_policy(
    algorithm: Algorithm, observation_space: spaces.Space[Any], policy_kwargs: Mapping[str, Any] | None = None
) -> str:
    """
    Choose the algorithm's policy for this kind of observation.

    :param algorithm: whose policies
    :param observation_space: of one environment
    :param policy_kwargs: arguments of the policy
    :return: an SB3 policy alias: multi-input for a ``Dict``, a CNN for an image, else an MLP. An image that is too
        small for SB3's CNN gets an MLP, unless ``policy_kwargs`` has a features extractor
    :raises ConfigError: if the algorithm has none for this kind of observation
    """
    arguments = policy_kwargs or {}
    aliases = algorithm.load_class().policy_aliases
    if isinstance(observation_space, spaces.Dict):
        kind, description = "MultiInput", "a Dict observation"
    elif is_image(observation_space, {}) and (
        _EXTRACTOR in arguments or not find_small_images(observation_space, arguments)
    ):
        kind, description = "Cnn", "an image observation"
    else:
        kind, description = "Mlp", "a flat observation"
    for alias in aliases:
        if alias.startswith(kind):
            return alias
    if kind == "MultiInput":
        raise ConfigError(
            f"agent.id: {algorithm.id} has no policy for {description}; put gymnasium.wrappers.FlattenObservation into "
            "env.wrappers, or choose another algorithm"
        )
    known = f"it has {', '.join(aliases)}" if aliases else "name a policy class, as module:Name"
    raise ConfigError(f"agent.policy: {algorithm.id} has no policy for {description}; {known}")


def validate_fit(
    algorithm: Algorithm, policy: str, env: VecEnv, policy_kwargs: Mapping[str, Any] | None = None
) -> None:
    """
    Refuse a policy, spaces or an environment that the algorithm cannot learn with, before SB3 does.

    :param algorithm: the algorithm
    :param policy: an SB3 policy alias, or ``module:Name``
    :param env: the training environments
    :param policy_kwargs: arguments of the policy
    :raises ConfigError: with what was found, and what would fit, a line each
    """
    validate_spaces(algorithm, env.observation_space, env.action_space)
    _refuse(
        [
            *_find_policy_problems(algorithm, policy, env.observation_space, policy_kwargs or {}),
            *_find_mask_problems(algorithm, env),
        ]
    )


def validate_spaces(
    algorithm: Algorithm, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
) -> None:
    """
    Refuse spaces that no algorithm can learn with, or not this one.

    :param algorithm: the algorithm
    :param observation_space: of one environment
    :param action_space: of one environment
    :raises ConfigError: with what was found, and what would fit, a line each
    """
    _refuse([*find_action_problems(algorithm, action_space), *find_observation_problems(observation_space)])


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(f"{'.'.join(map(str, problem.key))}: {problem.message}" for problem in problems)


def _find_policy_problems(
    algorithm: Algorithm, policy: str, space: spaces.Space[Any], policy_kwargs: Mapping[str, Any]
) -> Iterator[Problem]:
    aliases = algorithm.load_class().policy_aliases
    if ":" in policy:
        return  # a user's class, which may take anything
    if policy not in aliases:
        yield Problem(_POLICY, f"{algorithm.id} has no policy '{policy}'; {suggest_name(policy, aliases)}")
    elif policy.startswith("MultiInput") != isinstance(space, spaces.Dict):
        fitting = choose_policy(algorithm, space, policy_kwargs)
        yield Problem(_POLICY, f"{policy} does not fit observations in {describe_space(space)}, but {fitting} does")
    elif _EXTRACTOR not in policy_kwargs:
        yield from _find_extractor_problems(algorithm, policy, space, policy_kwargs)


def _find_extractor_problems(
    algorithm: Algorithm, policy: str, space: spaces.Space[Any], policy_kwargs: Mapping[str, Any]
) -> Iterator[Problem]:
    """Check the default features extractors of SB3."""
    advice = "or set agent.params.policy_kwargs.features_extractor_class"
    if algorithm.family == "recurrent_ppo" and any(
        isinstance(part, spaces.MultiDiscrete) for part in get_parts(space).values()
    ):
        yield Problem(
            ("agent", "id"),
            f"{algorithm.id} fails with observations in {describe_space(space)}; put "
            "gymnasium.wrappers.FlattenObservation into env.wrappers",
        )
    if policy.startswith("Mlp"):
        return
    if policy.startswith("Cnn") and not is_image(space, policy_kwargs):
        yield Problem(
            _POLICY,
            f"{policy} needs images (a Box of uint8 from 0 to 255, with three dimensions), but observations are in "
            f"{describe_space(space)}",
        )
    for name, size in find_small_images(space, policy_kwargs).items():
        needed = f"but SB3's network for images needs {SMALLEST_IMAGE}x{SMALLEST_IMAGE} pixels or more"
        if name is None:
            yield Problem(_POLICY, f"{policy}: the image is of {size}, {needed}; leave agent.policy out, {advice}")
        else:
            yield Problem(
                ("env", "id"), f"image {name!r} of the observation is of {size}, {needed}; enlarge it, {advice}"
            )


def _find_mask_problems(algorithm: Algorithm, env: VecEnv) -> Iterator[Problem]:
    if algorithm.needs_action_masks and not env.has_attr("action_masks"):
        yield Problem(
            ("agent", "id"),
            f"{algorithm.id} needs an environment with a method action_masks(), which this one lacks; use "
            f"{ALGORITHMS['ppo'].id}, or name a method of the environment that returns the masks: "
            "{sb3_contrib.common.wrappers.ActionMasker: {action_mask_fn: NAME}} in env.wrappers",
        )
