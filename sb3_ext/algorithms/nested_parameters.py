"""Check nested arguments of an algorithm: of its policy, of the parts of the policy, and of its buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sb3_ext.algorithms.algorithm_registry import Algorithm
from sb3_ext.algorithms.parameter_ranges import (
    BUFFER_RANGES,
    FEATURES_EXTRACTOR_RANGES,
    LSTM_RANGES,
    OPTIMIZER_RANGES,
    POLICY_RANGES,
)
from sb3_ext.arguments import find_argument_problems, import_name, read_parameters
from sb3_ext.problems import Problem
from sb3_ext.ranges import find_range_problems

_OF_ENVIRONMENT = {"observation_space": "it follows from env", "action_space": "it follows from env"}
_POLICY_OWNED = {
    **_OF_ENVIRONMENT,
    "lr_schedule": "use agent.params.learning_rate",
    "use_sde": "use agent.params.use_sde",
}
_OPTIMIZER_OWNED = {"params": "they are the network's weights", "lr": "use agent.params.learning_rate"}
_BUFFER_OWNED = {
    **_OF_ENVIRONMENT,
    "buffer_size": "use agent.params.buffer_size, or n_steps",
    "device": "use agent.device",
    "n_envs": "use parallel.num_envs",
    "env": "it is the training environment",
    "optimize_memory_usage": "use agent.params.optimize_memory_usage",
}
_ROLLOUT_BUFFER_OWNED = {
    **_BUFFER_OWNED,
    "gamma": "use agent.params.gamma",
    "gae_lambda": "use agent.params.gae_lambda",
}


def find_nested_problems(algorithm: Algorithm, policy: str | None, params: Mapping[str, Any]) -> Iterator[Problem]:
    """
    :param algorithm: whose arguments
    :param policy: an alias or ``module:Name``; ``None`` for what follows from the observation space
    :param params: ``agent.params``, converted
    :return: one problem a mistake, keyed from ``params`` inwards
    """
    kwargs = params.get("policy_kwargs")
    if isinstance(kwargs, Mapping):
        policy_classes = find_policy_classes(algorithm, policy)
        problems = _find_policy_problems(policy_classes, kwargs) if policy_classes else ()
        yield from (problem.below("policy_kwargs") for problem in problems)
    for kind, owned in (("replay_buffer", _BUFFER_OWNED), ("rollout_buffer", _ROLLOUT_BUFFER_OWNED)):
        kwargs, buffer_class = params.get(f"{kind}_kwargs"), params.get(f"{kind}_class")
        if isinstance(kwargs, Mapping):
            function = buffer_class if callable(buffer_class) else _load_buffer_class(kind)
            for problem in find_argument_problems(function, kwargs, owned=owned, ranges=BUFFER_RANGES):
                yield problem.below(f"{kind}_kwargs")


def find_policy_classes(algorithm: Algorithm, policy: str | None) -> list[Callable[..., Any]]:
    """
    :param algorithm: whose policies
    :param policy: an alias or ``module:Name``; ``None`` for what follows from the observation space
    :return: its class; without a policy, the classes that the space can select; they take the same arguments
    """
    aliases: Mapping[str, Callable[..., Any]] = algorithm.load_class().policy_aliases
    if policy is None:
        return [found for alias, found in aliases.items() if alias.startswith(("Mlp", "Cnn", "MultiInput"))]
    try:
        found = import_name(policy) if ":" in policy else aliases.get(policy)
    except LookupError:
        return []
    return [found] if callable(found) else []


def _find_policy_problems(policy_classes: Sequence[Callable[..., Any]], kwargs: Mapping[str, Any]) -> Iterator[Problem]:
    # A function that makes a layer can replace its class.
    given = {name: value for name, value in kwargs.items() if not (name.endswith("_fn") and callable(value))}
    yield from find_argument_problems(policy_classes[0], given, owned=_POLICY_OWNED, ranges=POLICY_RANGES)
    for part, owned, ranges in (
        ("features_extractor", _OF_ENVIRONMENT, FEATURES_EXTRACTOR_RANGES),
        ("optimizer", _OPTIMIZER_OWNED, OPTIMIZER_RANGES),
    ):
        part_kwargs, part_class = kwargs.get(f"{part}_kwargs"), kwargs.get(f"{part}_class")
        if not isinstance(part_kwargs, Mapping):
            continue
        candidates = [part_class] if callable(part_class) else _find_defaults(policy_classes, f"{part}_class")
        found = [find_argument_problems(item, part_kwargs, owned=owned, ranges=ranges) for item in candidates]
        for problem in min(found, key=len, default=[]):
            yield problem.below(f"{part}_kwargs")
    lstm_kwargs = kwargs.get("lstm_kwargs")
    if isinstance(lstm_kwargs, Mapping):
        yield from (problem.below("lstm_kwargs") for problem in find_range_problems(lstm_kwargs, LSTM_RANGES))


def _find_defaults(functions: Sequence[Callable[..., Any]], name: str) -> list[Callable[..., Any]]:
    parameters = [read_parameters(function).get(name) for function in functions]
    return [item.default for item in parameters if item is not None and callable(item.default)]


def _load_buffer_class(kind: str) -> Callable[..., Any]:
    from stable_baselines3.common import buffers

    return buffers.ReplayBuffer if kind == "replay_buffer" else buffers.RolloutBuffer
