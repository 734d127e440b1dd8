"""Every algorithm has a space of its own, whose keys exist and whose values are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.config import load_config
from sb3_ext.tuning import space as space_module
from sb3_ext.tuning.space import load_default_space

DIRECTORY = Path(space_module.__file__).parent / "default_spaces"


def make_data(algorithm: str) -> dict[str, Any]:
    is_continuous = ALGORITHMS[algorithm].action_spaces == ("Box",)
    return {"env": {"id": "Pendulum-v1" if is_continuous else "CartPole-v1"}, "agent": {"id": algorithm}}


def test_there_is_one_for_each_algorithm_with_its_sources() -> None:
    files = {path.stem: path.read_text() for path in DIRECTORY.glob("*.yaml")}

    assert set(files) == set(ALGORITHMS)
    assert all("arXiv" in text or "doi:" in text for text in files.values())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_value_in_it_is_valid(algorithm: str) -> None:
    space = {key: item.model_dump(exclude_unset=True) for key, item in load_default_space(algorithm).dimensions.items()}

    load_config({**make_data(algorithm), "tune": {"space": space}})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_samples_are_valid(algorithm: str) -> None:
    space = load_default_space(algorithm)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    for _ in range(3):
        overrides = [
            f"{key}={value!r}" for key, value in space.suggest(study.ask()).items() if not isinstance(value, dict)
        ]
        load_config(make_data(algorithm), [text.replace("None", "null") for text in overrides])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_algorithms_own_values_are_nearly_all_in_it(algorithm: str) -> None:
    space = load_default_space(algorithm)

    expressed = space.express(load_config(make_data(algorithm)))

    missing = {key for key in space.dimensions if key not in expressed}
    assert all("policy_kwargs" in key or key == "agent.policy" for key in missing)
