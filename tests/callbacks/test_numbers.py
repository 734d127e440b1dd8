"""The numbers that constructors of public callbacks take: none out of range, and no NaN."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext import callbacks
from sb3_ext.arguments import find_range, read_parameters, union_members
from sb3_ext.callbacks import (
    EpisodeBudgetCallback,
    EvaluationCallback,
    PlateauStopCallback,
    RunCheckpointCallback,
    TimeBudgetCallback,
)

REQUIRED: dict[str, Any] = {
    "callbacks": [],
    "directory": Path("checkpoints"),
    "env": lambda: None,
    "episodes": 1,
    "evaluation": None,
    "function": lambda metrics: None,
    "group": None,
    "interval_steps": 1,
    "path": Path("stop"),
    "phases": None,
    "seconds": 1.0,
    "signals": None,
    "status": Path("status.json"),
    "target": 1.0,
    "trial": None,
}


def list_callbacks() -> list[type[BaseCallback]]:
    found = [getattr(callbacks, name) for name in callbacks.__all__]
    return [item for item in found if isinstance(item, type) and issubclass(item, BaseCallback)]


def list_numbers() -> Iterator[Any]:
    for callback in list_callbacks():
        if callback.__init__ is not BaseCallback.__init__:
            for name, parameter in read_parameters(callback).items():
                if {int, float}.intersection(union_members(parameter.annotation)):
                    yield pytest.param(callback, name, id=f"{callback.__name__}-{name}")


@pytest.mark.parametrize(("callback", "name"), list(list_numbers()))
def test_numbers_out_of_range_are_refused(callback: Any, name: str) -> None:
    parameters = read_parameters(callback)
    required = {key: REQUIRED[key] for key, found in parameters.items() if found.default is found.empty}
    allowed = find_range(parameters[name].annotation)
    assert allowed is not None
    below = allowed.low if allowed.excludes_low else allowed.low - 1
    for value in (nan, inf, -inf, "3", True, *([2.5] if allowed.is_whole else []), *([below] if below > -1e9 else [])):
        with pytest.raises(ValueError, match=f"^{name} (must|cannot) be .*, but got {value!r}$"):
            callback(**{**required, name: value})


def test_the_checks_cover_at_least_25_numbers() -> None:
    assert len(list(list_numbers())) >= 25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeBudgetCallback(nan), "seconds must be a positive number, but got nan"),
        (lambda: TimeBudgetCallback(inf), "seconds must be a positive number, not infinite, but got inf"),
        (lambda: TimeBudgetCallback("60"), "seconds must be a positive number, but got '60'"),  # type: ignore[arg-type]
        (lambda: EpisodeBudgetCallback(2.5), "episodes must be a positive integer, but got 2.5"),  # type: ignore[arg-type]
        (lambda: PlateauStopCallback(min_delta=nan), "min_delta must be a number >= 0, but got nan"),
        (lambda: PlateauStopCallback(warm_up=-1), "warm_up cannot be negative, but got -1"),
        (lambda: EvaluationCallback(lambda: None, every_steps=0), "every_steps must be positive, but got 0"),  # type: ignore[arg-type,return-value]
        (lambda: RunCheckpointCallback("checkpoints", every_minutes=nan), "every_minutes must be a positive number"),
    ],
)
def test_the_error_has_the_expected_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_whole_numbers_of_any_type_are_accepted() -> None:
    for episodes in (3, 3.0, np.int64(3)):
        assert EpisodeBudgetCallback(episodes)._budget_episodes == 3  # type: ignore[arg-type]
    assert isinstance(EpisodeBudgetCallback(1e6)._budget_episodes, int)  # type: ignore[arg-type]
    TimeBudgetCallback(np.float32(1.5))  # type: ignore[arg-type]


def test_a_missing_argument_is_reported_by_python() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'seconds'"):
        TimeBudgetCallback()  # type: ignore[call-arg]


def test_signatures_are_readable() -> None:
    hints = typing.get_type_hints(TimeBudgetCallback.__init__)
    assert (hints["seconds"], hints["elapsed_before_seconds"]) == (float, float)
