"""Find differences between runs that make a comparison misleading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from sb3_ext.formatting import shorten_names
from sb3_ext.reports.comparison import ComparedRun

_VALUE_CHARACTERS = 40
_TASK = "their returns are those of different tasks"
_LEARNING = "they learn differently, independently of their speed"
_SPEED = "their speeds are those of different machines"
_SEED = "some of the difference is chance: compare several seeds of each"
_OVERLAP = "they ran at the same time on one machine and may have slowed each other"
_MIN_OVERLAP = 0.1
_UNKNOWN = "–"


@dataclass(frozen=True)
class Difference:
    """
    :param key: what differs: a key of the configuration, or a fact of the machine
    :param values: of each run, as text
    :param meaning: what it makes of the comparison
    """

    key: str
    values: tuple[str, ...]
    meaning: str

    def __str__(self) -> str:
        return f"{self.key}: {' / '.join(self.values)}: {self.meaning}"


def find_differences(runs: Sequence[ComparedRun], *, over_seeds: bool = False) -> list[Difference]:
    """
    :param runs: at least two
    :param over_seeds: whether runs that differ only in the seed are compared as groups; then seeds may differ
    :return: everything that a fair comparison would hold equal: environment, what decides how the agent learns, seed,
        machine, versions
    """
    found = [
        difference
        for read, meaning in (
            (_read_task, _TASK),
            (_read_learning, _LEARNING),
            (lambda run: {"seed": run.config.get("seed")}, _SEED),
            (_read_machine, _SPEED),
        )
        if not (over_seeds and meaning == _SEED)
        for difference in _compare(runs, read, meaning)
    ]
    return [*found, *_list_overlaps(runs)]


def _compare(
    runs: Sequence[ComparedRun], read: Callable[[ComparedRun], Mapping[str, Any]], meaning: str
) -> Iterator[Difference]:
    contents = [read(run) for run in runs]
    for key in dict.fromkeys(key for content in contents for key in content):
        if any(key not in content for content in contents) and key.startswith("agent.params."):
            continue  # a parameter of another algorithm, which the difference in agent.id shows
        values = tuple(_format(content.get(key)) for content in contents)
        is_unknown = meaning == _SPEED and _UNKNOWN in values  # of a run without a measurement
        if len(set(values)) > 1 and not is_unknown:
            yield Difference(key, tuple(shorten_names(values, _VALUE_CHARACTERS)), meaning)


def _read_task(run: ComparedRun) -> dict[str, Any]:
    task: dict[str, Any] = {}
    for section in ("env", "game"):
        for key, value in (run.config.get(section) or {}).items():
            if isinstance(value, Mapping):
                task |= {f"{section}.{key}.{name}": inner for name, inner in value.items()}
            else:
                task[f"{section}.{key}"] = value
    return task


def _read_learning(run: ComparedRun) -> dict[str, Any]:
    agent = dict(run.config["agent"])
    params = agent.pop("params", {})
    learning = {f"agent.{key}": agent.get(key) for key in ("id", "backend", "policy", "init_from") if key in agent}
    learning |= {f"agent.params.{key}": value for key, value in params.items()}
    for section, key in (("parallel", "num_envs"), ("train", "deterministic")):
        learning[f"{section}.{key}"] = (run.config.get(section) or {}).get(key)
    return learning


def _read_machine(run: ComparedRun) -> dict[str, Any]:
    measured = run.benchmark.get("machine") or {}
    return {
        "host": run.record.host,
        "cores": run.meta.get("cpu_count"),
        "device": run.meta.get("device"),
        "processor": measured.get("cpu_model"),
        "torch threads": measured.get("torch_threads"),
        "torch": run.meta.get("torch_version"),
        "stable-baselines3": run.meta.get("sb3_version"),
        "gymnasium": run.meta.get("gymnasium_version"),
        "numpy": run.meta.get("numpy_version"),
        "python": run.meta.get("python_version"),
    }


def _list_overlaps(runs: Sequence[ComparedRun]) -> Iterator[Difference]:
    """Runs that one machine worked on at the same time, for more than a tenth of the shorter one's time."""
    for first, second in combinations(runs, 2):
        if first.record.run_id == second.record.run_id:
            continue
        shorter = min(sum(stretch.ended - stretch.began for stretch in run.stretches) for run in (first, second))
        together = sum(
            max(0.0, min(stretch.ended, other.ended) - max(stretch.began, other.began))
            for stretch, other in product(first.stretches, second.stretches)
            if stretch.host == other.host
        )
        if together > _MIN_OVERLAP * shorter > 0:
            yield Difference("time", (first.name, second.name), _OVERLAP)


def _format(value: Any) -> str:
    if value is None:
        return _UNKNOWN
    return " ".join(str(value).split())
