"""Make the curriculum of a configuration, check it with an environment, and bring evaluations into its stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.arguments import find_argument_problems
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.callbacks import CurriculumCallback, EvaluationCallback
from sb3_ext.config.curriculum_schema import StageConfig
from sb3_ext.config.evaluation_schema import CURRENT, OneEvalConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.evaluation.space_check import find_space_differences
from sb3_ext.problems import Problem, expected, suggest_name
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.vec.environment_change import (
    EnvironmentChange,
    change_environments,
    has_separate_environments,
    match_type,
)
from sb3_ext.vec.environment_factory import EnvironmentFactory

_KEY = ("train", "curriculum")
_PLAIN: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
)


def make_curriculum(
    config: RunConfig,
    evaluation: EvaluationCallback | None,
    others: Mapping[str, EvaluationCallback],
    group: RankGroup | None,
) -> CurriculumCallback | None:
    """
    :param config: the whole configuration
    :param evaluation: the first evaluation; ``None`` on ranks that have none
    :param others: the other evaluations, by their names
    :param group: the ranks that train the model; ``None`` for this process alone
    :return: the callback; ``None`` without a curriculum
    """
    if not config.train.curriculum:
        return None
    staged = (name for name, judged in config.eval.others.items() if judged.stage == CURRENT)
    in_stage = (others[name] for name in staged if name in others)
    return CurriculumCallback(config.train.curriculum, evaluations=next(in_stage, evaluation), group=group)


def list_stages(config: RunConfig, judged: OneEvalConfig, stage: int | None = None) -> list[StageConfig]:
    """
    :param config: the whole configuration
    :param judged: an evaluation
    :param stage: number of the current stage; ``None``: the last one
    :return: the stages whose changes its environments have; none if they are other environments than in training
    """
    if judged.env.id not in (None, config.require_env("a curriculum").id):
        return []
    stages = config.train.curriculum
    return stages if stage is None or judged.stage != CURRENT else stages[:stage]


def merge_params(params: Mapping[str, Any], stages: Sequence[StageConfig]) -> dict[str, Any]:
    """
    :param params: ``env.params``
    :param stages: the stages that have begun
    :return: the arguments that the environment is made with
    """
    merged = dict(params)
    for stage in stages:
        merged.update(stage.params)
    return merged


def apply_stages(venv: VecEnv, stages: Sequence[StageConfig]) -> None:
    """
    Set attributes and call methods of environments that were made with the arguments of the stages.

    :param venv: the environments
    :param stages: the stages that have begun
    """
    for stage in stages:
        change_environments(venv, EnvironmentChange(stage.attributes, stage.calls))


def validate_curriculum(config: RunConfig, factory: EnvironmentFactory) -> None:
    """
    Go through all stages with one environment.

    :param config: the whole configuration
    :param factory: makes one environment, without a ``RemakeWrapper``
    :raises ConfigError: if the environment lacks an attribute or a method, cannot be made with the arguments of a
        stage, or cannot be reached; one line for each mistake
    """
    if not config.train.curriculum:
        return
    problems = list(_find_problems(config, factory))
    if problems:
        raise ConfigError(f"{'.'.join(map(str, (*_KEY, *problem.key)))}: {problem.message}" for problem in problems)


def _find_problems(config: RunConfig, factory: EnvironmentFactory) -> Iterator[Problem]:
    stages = config.train.curriculum
    sample = make_configured_backend(config.parallel).make_sample(factory)
    with closing(sample):
        if isinstance(sample, VecEnv) and not has_separate_environments(sample):
            for index, stage in enumerate(stages):
                yield from _find_missing(sample, index, stage)
            return
    env = factory()
    try:
        env.reset(seed=0)
        for index, stage in enumerate(stages):
            if stage.params:
                remade, problem = _try_to_remake(factory, env, merge_params({}, stages[: index + 1]))
                if remade is None:
                    yield Problem((index, "params"), problem)
                    return
                env.close()
                env = remade
                env.reset(seed=0)
            yield from _try_changes(env, index, stage)
    finally:
        env.close()


def _find_missing(venv: VecEnv, index: int, stage: StageConfig) -> Iterator[Problem]:
    """Find what cannot be changed in environments that exist only all together."""
    name = type(venv.unwrapped).__name__
    if stage.params:
        message = f"environments of {name} cannot be made again one by one; use set, call or another parallel.mode"
        yield Problem((index, "params"), message)
    for key, wanted in (("set", stage.attributes), ("call", stage.calls)):
        for attribute in wanted:
            if not venv.has_attr(attribute):
                yield Problem((index, key, attribute), f"{name} has no attribute '{attribute}'")


def _try_to_remake(
    factory: EnvironmentFactory, env: gymnasium.Env[Any, Any], params: dict[str, Any]
) -> tuple[gymnasium.Env[Any, Any] | None, str]:
    try:
        remade = factory.make_with(**params)
    except ConfigError as error:
        _, _, message = str(error).partition(": ")
        return None, message
    differences = find_space_differences(env, remade)
    if differences:
        remade.close()
        return None, f"other spaces than before: {'; '.join(differences)}"
    return remade, ""


def _try_changes(env: gymnasium.Env[Any, Any], index: int, stage: StageConfig) -> Iterator[Problem]:
    for name, value in stage.attributes.items():
        message = _find_attribute_mistake(env, name, value)
        if message is None:
            message = _try_change(env, EnvironmentChange(attributes={name: value}))
        if message is not None:
            yield Problem((index, "set", name), message)
    for name, arguments in stage.calls.items():
        problems = _find_call_problems(env, name, arguments or {})
        yield from (problem.below(index, "call", name) for problem in problems)
        if not problems:
            message = _try_change(env, EnvironmentChange(calls={name: arguments}))
            if message is not None:
                yield Problem((index, "call", name), message)


def _find_attribute_mistake(env: gymnasium.Env[Any, Any], name: str, value: Any) -> str | None:
    if not env.has_wrapper_attr(name):
        return _explain_missing(env, name, "attribute")
    current = env.get_wrapper_attr(name)
    if callable(current) and not callable(value):
        return "is a method; use call"
    for kind, words in _PLAIN:
        if isinstance(current, kind):
            is_same = isinstance(match_type(current, value), kind) and isinstance(value, bool) == (kind is bool)
            return None if is_same else expected(f"{words}, as now ({current!r})", value)
    return None


def _find_call_problems(env: gymnasium.Env[Any, Any], name: str, arguments: Mapping[str, Any]) -> list[Problem]:
    if not env.has_wrapper_attr(name):
        return [Problem((), _explain_missing(env, name, "method"))]
    method = env.get_wrapper_attr(name)
    if not callable(method):
        return [Problem((), "is not a method; use set")]
    return find_argument_problems(method, arguments)


def _try_change(env: gymnasium.Env[Any, Any], change: EnvironmentChange) -> str | None:
    try:
        change.apply_to(env)
    except Exception as error:  # the code of any environment runs here
        return f"the environment refuses it: {describe_error(error)}"
    return None


def _explain_missing(env: gymnasium.Env[Any, Any], name: str, kind: str) -> str:
    base = env.unwrapped
    known = {*vars(base), *vars(type(base))}
    fitting = [
        other
        for other in known
        if not other.startswith("_") and callable(getattr(base, other, None)) == (kind == "method")
    ]
    return f"{type(base).__name__} has no {kind} '{name}'; {suggest_name(name, fitting)}"
