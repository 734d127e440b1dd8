"""What a study does: everything that its processes have to agree on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sb3_ext.building.fit import validate_setup
from sb3_ext.building.memory import validate_memory
from sb3_ext.config import ConfigSource, Override, RunConfig, load_config, parse_override, read_source
from sb3_ext.config.space_checks import make_override
from sb3_ext.config.tune_schema import TuneConfig
from sb3_ext.errors import ConfigError
from sb3_ext.runs.run_registry import RUNS
from sb3_ext.tuning.space import Space, load_space
from sb3_ext.tuning.storage import complete_storage, hide_password

_TUNE: tuple[str, ...] = ("tune",)
_DEFINING = ("objective", "last_evaluations", "target", "seeds")
"""What of the section ``tune`` a study cannot change: values of trials would not compare any more."""


@dataclass(frozen=True)
class TuningPlan:
    """
    :param source: the configuration
    :param overrides: values of the command line, which replace those of the configuration
    :param directory: of the study; each trial is a run directory in it
    :param name: the study's
    :param storage: where Optuna keeps it, a complete URL
    :param is_distributed: whether trials run on other machines than the command
    """

    source: ConfigSource
    overrides: tuple[Override, ...]
    directory: Path
    name: str
    storage: str
    is_distributed: bool = False

    @cached_property
    def config(self) -> RunConfig:
        """The configuration before anything is sampled."""
        return load_config(self.source, self.overrides)

    @cached_property
    def settings(self) -> TuneConfig:
        """The section ``tune``, with every default."""
        return self.config.tune or TuneConfig()

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return load_space(self.config)

    @property
    def identity(self) -> str:
        """Identifies the study for trackers: a digest of its storage and name."""
        return hashlib.sha256(f"{hide_password(self.storage)} {self.name}".encode()).hexdigest()[:16]

    @property
    def is_minimized(self) -> list[bool]:
        """For each objective."""
        return [objective == "time_to_target" for objective in self.settings.objective]

    @property
    def target(self) -> float | None:
        """The return to reach, for the objective ``time_to_target``."""
        if self.settings.target is not None or self.config.early_stopping.target is None:
            return self.settings.target
        return self.config.early_stopping.target.target_return

    @property
    def seeds(self) -> list[int | None]:
        """Of the runs of each trial."""
        if self.settings.seeds == 1:
            return [self.config.seed]
        return [(self.config.seed or 0) + number for number in range(self.settings.seeds)]

    def make_overrides(self, values: Mapping[str, Any], seed: int | None = None) -> list[Override]:
        """
        :param values: what was sampled, by key
        :param seed: of the run; the configuration's when left out
        :return: what turns the configuration into a trial's
        """
        own = [override for override in self.overrides if override.key[:1] != _TUNE]
        sampled = [make_override(key, value) for key, value in values.items()]
        seeded = [] if seed is None else [Override(("seed",), seed, "tune.seeds")]
        return [*own, Override(_TUNE, None, "tune"), *sampled, *seeded]

    def describe(self) -> dict[str, Any]:
        """:return: plain data, equal for studies whose trials compare"""
        config = self.config.model_dump(mode="json", by_alias=True, exclude={"tune"})
        settings = self.settings.model_dump(mode="json", include=set(_DEFINING))
        space = {key: json.dumps(value, sort_keys=True) for key, value in self.space.describe().items()}
        return dict(_flatten({**config, "tune": {**settings, "space": space}}))

    def to_json(self) -> dict[str, Any]:
        """:return: plain data for :meth:`from_json`, in another process"""
        return {
            "place": self.source.place,
            "text": self.source.text,
            "path": None if self.source.path is None else str(self.source.path.absolute()),
            "overrides": [[list(override.key), override.value, override.place] for override in self.overrides],
            "directory": str(self.directory.absolute()),
            "name": self.name,
            "storage": self.storage,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TuningPlan:
        """:param content: what :meth:`to_json` gave"""
        path = None if content["path"] is None else Path(content["path"])
        overrides = tuple(Override(tuple(key), value, place) for key, value, place in content["overrides"])
        source = ConfigSource(content["place"], content["text"], path)
        return cls(source, overrides, Path(content["directory"]), content["name"], content["storage"])


def make_plan(
    config: str | Path | Mapping[str, Any],
    overrides: Iterable[str | Override] = (),
    *,
    directory: str | Path | None = None,
    is_distributed: bool = False,
) -> TuningPlan:
    """
    Validate what is to be tuned.

    :param config: a YAML file, the name of a shipped one, or plain data
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param directory: of the study; ``runs/<study>`` when left out
    :param is_distributed: whether trials run on other machines than the command; then they share the storage
    :return: the plan
    :raises ConfigError: if the configuration cannot be used, or there would be nothing to judge a trial by
    :raises TuningError: if the storage has no form that is known
    """
    source = read_source(config)
    parsed = tuple(parse_override(item) if isinstance(item, str) else item for item in overrides)
    loaded = load_config(source, parsed)
    settings = loaded.tune or TuneConfig()
    validate_memory(loaded, copies=1 if is_distributed else settings.jobs)
    validate_setup(loaded, source, parsed)
    stem = f"{loaded.task_id}_{loaded.agent.id}" if source.path is None else source.path.stem
    name = settings.study or "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in stem)
    place = RUNS / name if directory is None else Path(directory)
    storage = complete_storage(settings.storage, place, is_distributed=is_distributed)
    plan = TuningPlan(source, parsed, place, name, storage, is_distributed)
    problems = list(_check_plan(plan))
    if problems:
        raise ConfigError(f"{source.place}: {problem}" for problem in problems)
    return plan


def _check_plan(plan: TuningPlan) -> Iterator[str]:
    judged, settings = plan.config.eval, plan.settings
    if judged.every_steps is None and judged.every_episodes is None:
        yield "eval: trials are judged by evaluations, and there are none; give eval.every_steps"
    if "time_to_target" in settings.objective and plan.target is None:
        yield "tune.target: time_to_target needs the return to reach, here or in early_stopping.target.return"
    if plan.config.train.total_steps is None and "area" in settings.objective:
        yield "tune.objective: area needs train.total_steps, over which it is taken"
    if not plan.space.dimensions:
        yield "tune.space: is empty"


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value
