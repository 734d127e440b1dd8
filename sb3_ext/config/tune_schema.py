"""The section ``tune``: what is searched, how, and when it ends. ``sb3-ext train`` only validates it."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, model_validator

from sb3_ext.config.expressions import EXPRESSIONS
from sb3_ext.config.fields import Arguments, Duration, OneOf, Prefix, Text, parse_duration
from sb3_ext.config.section import Section
from sb3_ext.problems import suggest_name
from sb3_ext.ranges import Finite, PositiveInt

Scalar = str | int | float | bool | None
"""The types of choices that Optuna stores."""

SAMPLERS = {
    "tpe": "optuna.samplers:TPESampler",
    "cmaes": "optuna.samplers:CmaEsSampler",
    "random": "optuna.samplers:RandomSampler",
    "gp": "optuna.samplers:GPSampler",
    "nsga2": "optuna.samplers:NSGAIISampler",
}
"""Where the class of each sampler is: names, since Optuna may not be installed."""

PRUNERS = {
    "median": "optuna.pruners:MedianPruner",
    "asha": "optuna.pruners:SuccessiveHalvingPruner",
    "hyperband": "optuna.pruners:HyperbandPruner",
    "patient": "optuna.pruners:PatientPruner",
    "none": "optuna.pruners:NopPruner",
}
"""Where the class of each pruner is."""

Objective: TypeAlias = Literal["last", "best", "area", "time_to_target", "fps"]
"""What a trial is judged by; computed in :mod:`sb3_ext.tuning.objective`."""

_OBJECTIVES = ", ".join(get_args(Objective))


class DimensionConfig(Section):
    """The values that are tried for one key of the configuration."""

    type: Annotated[Literal["float", "int", "categorical"], OneOf()]
    low: Finite | None = Field(default=None, description="float, int: the least value")
    high: Finite | None = Field(default=None, description="float, int: the greatest value")
    log: bool = Field(default=False, description="float, int: sample on a logarithmic scale")
    step: Finite | None = Field(default=None, description="float, int: only low plus multiples of this")
    choices: list[Any] | dict[str, Any] | None = Field(
        default=None, description="categorical: the values, lists and mappings too; or names for them: {name: value}"
    )
    expression: str | None = Field(default=None, description=f"float, int: {', '.join(EXPRESSIONS)} of the number")
    when: dict[str, Any] = Field(
        default={}, description="only if a key further up has this value, or one of a list: {key: value}"
    )

    @model_validator(mode="after")
    def _check(self) -> DimensionConfig:
        if self.expression is not None and self.expression not in EXPRESSIONS:
            raise ValueError(f"unknown expression '{self.expression}'; {suggest_name(self.expression, EXPRESSIONS)}")
        if self.type == "categorical":
            self._check_choices()
        else:
            self._check_range()
        return self

    def _check_choices(self) -> None:
        given = [name for name in ("low", "high", "log", "step", "expression") if getattr(self, name)]
        if given:
            raise ValueError(f"a categorical has choices only, found {', '.join(given)}")
        if not self.choices:
            raise ValueError("a categorical needs choices, a list or a mapping of names to values, and at least one")
        labels = self.labels
        if any(labels[index] in labels[:index] for index in range(len(labels))):
            raise ValueError("the same choice is given twice")

    def _check_range(self) -> None:
        if self.choices is not None:
            raise ValueError(f"{self.type} has low and high, found choices; did you mean type: categorical?")
        if self.low is None or self.high is None:
            raise ValueError(f"{self.type} needs low and high")
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not be greater than high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be positive, found {self.step:g}")
        if self.type == "int" and any(value % 1 for value in (self.low, self.high, self.step or 0)):
            raise ValueError("an int needs whole numbers for low, high and step")

    @property
    def labels(self) -> list[Scalar]:
        """The choices of a categorical as Optuna stores them: plain values as they are, others by name or as JSON."""
        if isinstance(self.choices, dict):
            return list(self.choices)
        return [item if isinstance(item, Scalar) else json.dumps(item) for item in self.choices or ()]

    @property
    def values(self) -> list[Any]:
        """The choices of a categorical, as values of the configuration."""
        return list(self.choices.values()) if isinstance(self.choices, dict) else list(self.choices or ())

    def convert(self, sampled: Any) -> Any:
        """
        :param sampled: a number, or the label of a choice
        :return: the configuration's value
        """
        if self.type == "categorical":
            return self.values[self.labels.index(sampled)]
        number = int(sampled) if self.type == "int" else float(sampled)
        return number if self.expression is None else EXPRESSIONS[self.expression].apply(number)

    def choose_test_values(self) -> list[Any]:
        """:return: values to validate: every choice, or both bounds and a value between them"""
        if self.type == "categorical":
            return self.values
        assert self.low is not None
        assert self.high is not None
        between = self.low + (self.high - self.low) / math.e  # not an integer, to be refused where one is expected
        return [self.convert(number) for number in dict.fromkeys((self.low, self.high, between))]


class SamplerConfig(Section):
    """Proposes values."""

    type: Annotated[str, OneOf(SAMPLERS)] = "tpe"
    params: Arguments = Field(default={}, description="keyword arguments of Optuna's sampler")


class PrunerConfig(Section):
    """Ends trials that do badly."""

    type: Annotated[str, OneOf(PRUNERS)] = "median"
    params: Arguments = Field(default={}, description="keyword arguments of Optuna's pruner")


def _as_section(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _read_space(value: Any) -> Any:
    return None if value == "default" else value


class TuneConfig(Section):
    """What is searched, how, and when it ends."""

    trials: PositiveInt = Field(default=20, description="number of trials, failed and pruned ones included")
    timeout: Duration | None = Field(
        default=None, description="90s, 10m, 1.5h, or a number of hours, after which the study stops"
    )
    jobs: PositiveInt = Field(default=1, description="worker processes")
    study: Prefix | None = Field(default=None, description="name of the study; null: the configuration's")
    storage: Text | None = Field(
        default=None, description="null: SQLite in the study's directory; journal: a file there; or a URL"
    )
    sampler: Annotated[SamplerConfig, BeforeValidator(_as_section)] = SamplerConfig()
    pruner: Annotated[PrunerConfig, BeforeValidator(_as_section)] | None = Field(
        default=None, description="null: median, or none with several objectives"
    )
    startup_trials: PositiveInt = Field(default=10, description="random trials before sampler and pruner start")
    objective: Annotated[list[Annotated[Objective, OneOf()]], Field(min_length=1), BeforeValidator(_as_list)] = Field(
        default=["last"], description=f"one or several of {_OBJECTIVES}"
    )
    last_evaluations: PositiveInt = Field(default=3, description="objective last: how many evaluations are averaged")
    target: Finite | None = Field(
        default=None, description="objective time_to_target: the return to reach; null: early_stopping.target.return"
    )
    seeds: PositiveInt = Field(default=1, description="runs of each trial, with different seeds; their mean counts")
    space: Annotated[dict[str, DimensionConfig] | None, BeforeValidator(_read_space)] = Field(
        default=None,
        description="key of the configuration -> values to try; default (or null): the algorithm's own space",
    )
    max_failures_in_a_row: PositiveInt = Field(
        default=5, description="consecutive failed trials after which the study ends"
    )

    @model_validator(mode="after")
    def _check(self) -> TuneConfig:
        if len(set(self.objective)) < len(self.objective):
            raise ValueError("the same objective is given twice")
        if self.has_several_objectives and self.pruner is not None and self.pruner.type != "none":
            raise ValueError("Optuna cannot prune with several objectives; leave out the pruner")
        if self.has_several_objectives and self.sampler.type == "cmaes":
            raise ValueError("cmaes has one objective only; use nsga2, tpe, gp or random")
        return self

    @property
    def has_several_objectives(self) -> bool:
        """Whether a trial has more than one value."""
        return len(self.objective) > 1

    @property
    def pruner_type(self) -> str:
        """The type of the pruner that is used."""
        if self.pruner is not None:
            return self.pruner.type
        return "none" if self.has_several_objectives else "median"

    @property
    def timeout_seconds(self) -> float | None:
        """The wall-clock bound in seconds."""
        return None if self.timeout is None else parse_duration(self.timeout)
