"""Errors with messages for the user."""

from __future__ import annotations

import pytest

from sb3_ext.errors import CheckpointError, ConfigError, MissingExtraError, RunError, Sb3ExtError


@pytest.mark.parametrize("error", [ConfigError, RunError, CheckpointError, MissingExtraError])
def test_all_errors_derive_from_one_class(error: type[Exception]) -> None:
    assert issubclass(error, Sb3ExtError)


def test_a_config_error_has_a_line_for_each_problem() -> None:
    error = ConfigError(f"my.yaml:{line}: unknown key" for line in (7, 12))

    assert error.problems == ["my.yaml:7: unknown key", "my.yaml:12: unknown key"]
    assert str(error) == "my.yaml:7: unknown key\nmy.yaml:12: unknown key"


def test_a_config_error_takes_a_single_text() -> None:
    assert ConfigError("no such file: my.yaml").problems == ["no such file: my.yaml"]


def test_a_missing_extra_names_the_command_to_install_it() -> None:
    error = MissingExtraError("LunarLander-v3", "box2d")

    assert error.extra == "box2d"
    assert str(error) == "LunarLander-v3 needs an optional dependency: pip install 'sb3-ext[box2d]'"
