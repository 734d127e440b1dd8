"""The JSON Schema of a configuration: names, types and ranges of parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from sb3_ext.config.callback_types import CALLBACK_TYPES
from sb3_ext.config.json_schema import make_json_schema
from sb3_ext.config.tune_schema import PRUNERS, SAMPLERS


@cache
def read_sections() -> Any:
    return make_json_schema()["$defs"]


def find_params(section: str, entry_type: str) -> Any:
    """The schema of the parameters that an entry of this type has."""
    [found] = [
        part["then"]["properties"]["params"]
        for part in read_sections()[section]["allOf"]
        if "if" in part and part["if"]["properties"]["type"]["const"] == entry_type
    ]
    return found


@pytest.mark.parametrize(
    ("section", "entry_type", "name", "expected"),
    [
        ("CallbackConfig", "lr_decay", "interval_steps", {"type": "integer", "minimum": 1}),
        ("CallbackConfig", "lr_decay", "min_lr", {"type": "number", "minimum": 0, "default": 1e-6}),
        ("CallbackConfig", "epsilon_decay", "every", {"enum": ["step", "episode"], "default": "step"}),
        ("CallbackConfig", "plateau_stop", "warm_up", {"type": "integer", "minimum": 0, "default": 0}),
        (
            "CallbackConfig",
            "stable_baselines3.common.callbacks:StopTrainingOnMaxEpisodes",
            "max_episodes",
            {"type": "integer", "minimum": 1},
        ),
        ("SamplerConfig", "tpe", "n_ei_candidates", {"type": "integer", "minimum": 1, "default": 24}),
        ("PrunerConfig", "asha", "reduction_factor", {"type": "integer", "minimum": 2, "default": 4}),
        ("PrunerConfig", "median", "n_warmup_steps", {"type": "integer", "minimum": 0, "default": 0}),
    ],
)
def test_parameters_have_their_ranges(section: str, entry_type: str, name: str, expected: Any) -> None:
    assert find_params(section, entry_type)["properties"][name] == expected


@pytest.mark.parametrize(
    ("wrapper", "name", "expected"),
    [
        ("gymnasium.wrappers.TimeLimit", "max_episode_steps", {"type": "integer", "minimum": 1}),
        (
            "gymnasium.wrappers.StickyAction",
            "repeat_action_probability",
            {"type": "number", "minimum": 0, "maximum": 1},
        ),
        (
            "stable_baselines3.common.atari_wrappers.MaxAndSkipEnv",
            "skip",
            {"type": "integer", "minimum": 1, "default": 4},
        ),
    ],
)
def test_wrappers_have_their_ranges(wrapper: str, name: str, expected: Any) -> None:
    text, mapping = read_sections()["EnvConfig"]["properties"]["wrappers"]["items"]["anyOf"]
    assert text["type"] == "string"
    assert mapping["properties"][wrapper]["properties"][name] == expected
    assert "env" not in mapping["properties"][wrapper]["properties"]


def test_every_type_has_its_parameters() -> None:
    for name in CALLBACK_TYPES:
        assert not find_params("CallbackConfig", name)["additionalProperties"]
    for section, types in (("SamplerConfig", SAMPLERS), ("PrunerConfig", PRUNERS)):
        assert read_sections()[section]["properties"]["type"]["enum"] == list(types)
        for name in types:
            find_params(section, name)


def test_an_entry_matches_only_the_section_of_its_type() -> None:
    sections = read_sections()
    for union, others in (("callbacks", ["checkpoint"]), ("opponent_sampler", ["pool", "checkpoint"])):
        found = sections["TrainConfig"]["properties"][union]
        choices = found["items"] if union == "callbacks" else found["anyOf"][0]
        *typed, other = [sections[choice["$ref"].rpartition("/")[2]] for choice in choices["oneOf"]]
        assert [section["properties"]["type"]["const"] for section in typed] == others
        assert all("type" in section["required"] for section in typed)
        assert other["allOf"][0] == {"properties": {"type": {"not": {"enum": others}}}}
