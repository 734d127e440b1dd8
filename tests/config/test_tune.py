"""The section ``tune``: each mistake in it is reported with its line when the configuration is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError

HEAD = """env: {id: CartPole-v1}
agent: {id: ppo}
tune:
  space:
"""

MISTAKES = {
    "{type: float, low: 2, high: 1}": "low (2) must not be greater than high (1)",
    "{type: float, low: 0, high: 1, log: true}": "log needs a low above 0, found 0",
    "{type: float, low: 0.1, high: 1, log: true, step: 0.1}": "log and step exclude each other",
    "{type: float, low: 0.1, high: 1, step: 0}": "step must be positive",
    "{type: float, low: 0.1}": "float needs low and high",
    "{type: float, choices: [1]}": "did you mean type: categorical?",
    "{type: int, low: 0.5, high: 1}": "an int needs whole numbers",
    "{type: categorical}": "a categorical needs choices",
    "{type: categorical, choices: []}": "at least one",
    "{type: categorical, choices: [0.1, 0.1]}": "the same choice is given twice",
    "{type: categorical, choices: [0.1], low: 1}": "a categorical has choices only, found low",
    "{type: float, low: 1, high: 2, expression: exec}": "unknown expression 'exec'",
    "{low: 1, high: 2}": "type: required, but missing",
    "{type: double, low: 1, high: 2}": "expected one of float, int, categorical, found 'double'",
    "{type: float, lo: 1, high: 2}": "lo: unknown key; did you mean 'low'?",
    "7": "expected a mapping",
}


def find_mistakes(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


@pytest.mark.parametrize("dimension", MISTAKES)
def test_each_mistake_in_a_dimension_has_its_message(dimension: str, tmp_path: Path) -> None:
    [found] = find_mistakes(f"{HEAD}    agent.params.ent_coef: {dimension}\n", tmp_path)

    assert found.startswith("5: tune.space.agent.params.ent_coef")
    assert MISTAKES[dimension] in found


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("agent.params.gama: {type: float, low: 0.9, high: 0.99}", "unknown parameter; did you mean 'gamma'?"),
        ("agent.parms.gamma: {type: float, low: 0.9, high: 0.99}", "agent.parms: unknown key; did you mean 'params'?"),
        ("agent.params.n_steps: {type: float, low: 10, high: 20}", "expected an integer, found 13.6"),
        ("agent.params.n_steps: {type: int, low: 5, high: 8, expression: linear_schedule}", "n_steps"),
        ("parallel.num_envs: {type: int, low: 0, high: 4}", "expected a positive integer, found 0"),
        ("agent.id: {type: categorical, choices: [ppo, pp0]}", "unknown algorithm 'pp0'"),
        ("agent.params.policy_kwargs: {type: categorical, choices: [{activation_fn: Relu}]}", "'Relu'"),
        ("env.params.sutton: {type: categorical, choices: [true]}", "unknown parameter"),
        ("tune.trials: {type: int, low: 1, high: 2}", "expected a key that affects training"),
        ("agent.id.foo: {type: int, low: 1, high: 2}", "above this key"),
    ],
)
def test_keys_and_values_are_validated_in_the_configuration(entry: str, message: str, tmp_path: Path) -> None:
    [found] = find_mistakes(f"{HEAD}    {entry}\n", tmp_path)

    assert found.startswith(f"5: tune.space.{entry.partition(':')[0]}: ")
    assert message in found


def test_a_condition_must_name_a_key_further_up(tmp_path: Path) -> None:
    later = "agent.params.use_sde: {type: categorical, choices: [true, false]}"
    freq = "agent.params.sde_sample_freq: {type: int, low: 1, high: 9, when: {%s: true}}"

    [unknown] = find_mistakes(f"{HEAD}    {freq % 'agent.params.use_sdee'}\n    {later}\n", tmp_path)
    [below] = find_mistakes(f"{HEAD}    {freq % 'agent.params.use_sde'}\n    {later}\n", tmp_path)

    assert unknown.startswith("5: tune.space.agent.params.sde_sample_freq.when.agent.params.use_sdee: expected a key")
    assert "this one does not" in below


def test_a_value_is_validated_together_with_its_conditions(tmp_path: Path) -> None:
    """SAC's parameters are valid only with SAC."""
    algorithm = "agent.id: {type: categorical, choices: [ppo, a2c]}"
    rms = "agent.params.use_rms_prop: {type: categorical, choices: [true, false]"
    path = tmp_path / "my.yaml"
    path.write_text(f"{HEAD}    {algorithm}\n    {rms}, when: {{agent.id: a2c}}}}\n")

    load_config(path)

    [found] = find_mistakes(f"{HEAD}    {algorithm}\n    {rms}}}\n", tmp_path)
    assert found.startswith("6: tune.space.agent.params.use_rms_prop: unknown parameter")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"trials": 0}, "tune.trials: expected a positive integer, found 0"),
        ({"trails": 5}, "tune.trails: unknown key; did you mean 'trials'?"),
        ({"sampler": "tpee"}, "tune.sampler.type: expected one of tpe, cmaes, random, gp, nsga2, found 'tpee'"),
        ({"pruner": {"type": "halving"}}, "tune.pruner.type: expected one of median, asha"),
        ({"objective": "lst"}, "tune.objective.0: expected one of last, best, area, time_to_target, fps, found 'lst'"),
        ({"objective": []}, "tune.objective"),
        ({"objective": ["last", "last"]}, "the same objective is given twice"),
        ({"objective": ["last", "fps"], "pruner": "median"}, "Optuna cannot prune with several objectives"),
        ({"objective": ["last", "fps"], "sampler": "cmaes"}, "cmaes has one objective only"),
        ({"timeout": "soon"}, "tune.timeout: expected a duration"),
        ({"study": "a/b"}, "tune.study: expected letters, digits"),
        ({"space": "defualt"}, "tune.space: expected a mapping"),
    ],
)
def test_each_mistake_in_the_rest_of_the_section_has_its_message(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}, "tune": section})

    assert message in str(caught.value)


def test_short_forms_of_sampler_pruner_and_objective() -> None:
    section = {"sampler": "random", "objective": "best", "space": "default", "pruner": "none"}

    tune = load_config({"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}, "tune": section}).tune

    assert tune is not None
    assert (tune.sampler.type, tune.objective, tune.space, tune.pruner_type) == ("random", ["best"], None, "none")
