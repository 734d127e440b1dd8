"""The messages meant for a user."""

from __future__ import annotations

import pytest

from sb3_ext.errors import CheckpointError, ConfigError, MissingExtraError, RunError, Sb3ExtError


@pytest.mark.parametrize("error", [ConfigError, RunError, CheckpointError, MissingExtraError])
def test_one_root_catches_every_message_for_a_user(error: type[Exception]) -> None:
    assert issubclass(error, Sb3ExtError)


def test_a_configs_problems_come_together_a_line_each() -> None:
    error = ConfigError(f"my.yaml:{line}: unknown key" for line in (7, 12))

    assert error.problems == ["my.yaml:7: unknown key", "my.yaml:12: unknown key"]
    assert str(error) == "my.yaml:7: unknown key\nmy.yaml:12: unknown key"


def test_a_single_problem_is_not_taken_apart_into_letters() -> None:
    assert ConfigError("no such file: my.yaml").problems == ["no such file: my.yaml"]


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("LunarLander-v3", "box2d")

    assert error.extra == "box2d"
    assert str(error) == "LunarLander-v3 needs an optional dependency: pip install 'sb3-ext[box2d]'"
