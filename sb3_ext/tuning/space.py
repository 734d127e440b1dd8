"""The search space: from Optuna's trials to values of the configuration, and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import TypeAdapter

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.config import RunConfig
from sb3_ext.config.expressions import EXPRESSIONS
from sb3_ext.config.tune_schema import DimensionConfig
from sb3_ext.config.yaml_document import parse_document
from sb3_ext.errors import ConfigError

logger = logging.getLogger(__name__)

_DEFAULT_SPACES = Path(__file__).parent / "default_spaces"
_MISSING = object()


@dataclass(frozen=True)
class Space:
    """
    What is tried for each key of the configuration.

    :param dimensions: by key, with dots; a condition refers to a key further up
    """

    dimensions: Mapping[str, DimensionConfig]

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """
        Sample, or read again what was sampled for this trial.

        :param trial: a running trial, or one that has ended
        :return: the configuration's values by key, those only whose conditions hold
        """
        values: dict[str, Any] = {}
        for key, dimension in self.dimensions.items():
            if all(_meets(values.get(name, _MISSING), wanted) for name, wanted in dimension.when.items()):
                values[key] = dimension.convert(_suggest(trial, key, dimension))
        return values

    def express(self, config: RunConfig) -> dict[str, Any]:
        """
        The configuration's own values as Optuna's parameters: what a trial of them is enqueued with.

        :param config: the configuration as it is
        :return: parameters by key. A number outside of the space is moved to its border; a value that the
            space does not have is left out, and sampled. The log names both
        """
        params: dict[str, Any] = {}
        for key, dimension in self.dimensions.items():
            value = _find_value(config, key)
            found = _express(dimension, value)
            if found is None:
                found_value = "it is not set" if value is None else f"the space does not have {value!r}"
                logger.info("the first trial samples %s: %s", key, found_value)
                continue
            params[key], is_moved = found
            if is_moved:
                moved = dimension.convert(params[key])
                logger.info("the first trial has %s = %r: %r is outside of the space", key, moved, value)
        return params

    def describe(self) -> dict[str, Any]:
        """:return: plain data, equal for equal spaces"""
        return {key: dimension.model_dump(mode="json") for key, dimension in self.dimensions.items()}


def load_default_space(algorithm_id: str) -> Space:
    """
    :param algorithm_id: such as ``ppo``
    :return: the space that the package has for it, or for the algorithm that it is derived from
    :raises ConfigError: if there is none
    """
    algorithm = get_algorithm(algorithm_id)
    path = _DEFAULT_SPACES / f"{algorithm.family}.yaml"
    if not path.is_file():
        raise ConfigError(f"tune.space: there is no default space for {algorithm_id}; give keys of the configuration")
    content = parse_document(path.read_text(encoding="utf-8"), path.name).value
    return Space(TypeAdapter(dict[str, DimensionConfig]).validate_python(content))


def load_space(config: RunConfig) -> Space:
    """
    :param config: a configuration
    :return: its own space, or its algorithm's default
    """
    space = None if config.tune is None else config.tune.space
    if space is None:
        return load_default_space(config.agent.id)
    if not space:
        raise ConfigError("tune.space: is empty; give keys of the configuration, or default")
    return Space(space)


def shorten_key(key: str) -> str:
    """:return: a key of the configuration without the sections that most keys of a space have in common"""
    return key.removeprefix("agent.params.").removeprefix("policy_kwargs.")


def _suggest(trial: optuna.trial.BaseTrial, key: str, dimension: DimensionConfig) -> Any:
    distribution = _make_distribution(dimension)
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    low, high, log = distribution.low, distribution.high, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, int(low), int(high), step=distribution.step, log=log)
    return trial.suggest_float(key, low, high, step=distribution.step, log=log)


def _make_distribution(dimension: DimensionConfig) -> FloatDistribution | IntDistribution | CategoricalDistribution:
    if dimension.type == "categorical":
        return CategoricalDistribution(dimension.labels)
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.type == "float":
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    step = int(dimension.step or 1)
    return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)


def _meets(value: Any, wanted: Any) -> bool:
    """``True`` is not 1 here: in YAML they are different."""
    candidates = wanted if isinstance(wanted, list) else [wanted]
    return any(value == candidate and type(value) is type(candidate) for candidate in [*candidates, wanted])


def _find_value(config: RunConfig, key: str) -> Any:
    """The configuration's value, where it is given or has a default."""
    value: Any = config.model_dump(by_alias=True)
    value["agent"]["params"] = fill_parameters(get_algorithm(config.agent.id), config.agent.params)
    for part in key.split("."):
        if isinstance(value, list):
            value = next((item for item in value if item.get("type") == part), None)
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _express(dimension: DimensionConfig, value: Any) -> tuple[Any, bool] | None:
    """:return: the parameter, and whether it had to be moved to be in the space; ``None`` if there is none"""
    if dimension.type == "categorical":
        same = [index for index, item in enumerate(dimension.values) if item == value and type(item) is type(value)]
        return (dimension.labels[same[0]], False) if same else None
    number = EXPRESSIONS[dimension.expression].invert(value) if dimension.expression else value
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    moved = _move_into(_make_distribution(dimension), number)
    return moved, abs(moved - number) > 1e-9 * abs(number)


def _move_into(distribution: BaseDistribution, number: float) -> float:
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        number = low + round((number - low) / step) * step
    moved = min(max(number, low), high)
    return int(moved) if isinstance(distribution, IntDistribution) else float(moved)
