"""Runs that differ only in their seed, and what can be concluded from comparing them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from sb3_ext.formatting import name_groups
from sb3_ext.reports.comparison import WINDOW_EPISODES, ComparedRun
from sb3_ext.reports.evidence import (
    Array,
    Interval,
    Scores,
    bootstrap_interval95,
    compute_chance_of_separation,
    compute_improvement_probability,
    compute_overall_iqm,
    compute_profile,
)

_FEW_SEEDS = 10
"""With fewer, bootstrap intervals are too narrow (Agarwal et al., 2021, figure A.17)."""

_LARGEST_CHANCE = 0.05
_PROFILE_POINTS = 101
_TASK_SECTIONS = ("env", "game")


@dataclass(frozen=True)
class SeedGroup:
    """
    Statistics of runs that differ only in their seed, on one task or several.

    :param name: what the names of the runs have in common
    :param seeds: number of runs; of the task with the fewest
    :param iqm: interquartile mean of the scores
    :param interval: its 95 % interval; ``None`` for one run
    :param mean: mean of the scores
    :param lowest: lowest score
    :param highest: highest score
    :param profile: share of runs above each threshold of the comparison
    :param profile_band: 95 % interval of each share: lower ends, upper ends; ``None`` for one run
    """

    name: str
    seeds: int
    iqm: float
    interval: Interval | None
    mean: float
    lowest: float
    highest: float
    profile: tuple[float, ...]
    profile_band: tuple[tuple[float, ...], tuple[float, ...]] | None


@dataclass(frozen=True)
class GroupPair:
    """
    A group in comparison with the first one.

    :param first: name of the first group
    :param second: name of the other group
    :param probability: that a run of the second is better than one of the first; ties count half
    :param probability_interval: its 95 % interval; ``None`` if one of them has one run
    :param difference: interquartile mean of the second, minus that of the first
    :param difference_interval: its 95 % interval; ``None`` if one of them has one run
    :param conclusion: what follows, in words
    """

    first: str
    second: str
    probability: float
    probability_interval: Interval | None
    difference: float
    difference_interval: Interval | None
    conclusion: str


@dataclass(frozen=True)
class Evidence:
    """
    What runs with several seeds show.

    :param measure: what the scores are
    :param thresholds: scores for which the groups have their profile
    :param groups: in the order of their first runs
    :param pairs: each group with the first one
    :param remarks: what limits the conclusions, in words
    """

    measure: str
    thresholds: tuple[float, ...]
    groups: tuple[SeedGroup, ...]
    pairs: tuple[GroupPair, ...]
    remarks: tuple[str, ...]


def identify_configuration(
    config: Mapping[str, Any], *, automatic: Collection[tuple[str, str]] = (), without: Sequence[str] = ()
) -> str:
    """
    :param config: a resolved configuration
    :param automatic: section and key of the settings that the run chose itself, which are left out
    :param without: sections to leave out
    :return: a text that is the same for runs that differ only in their seed
    """
    chosen = {
        section: {key: value for key, value in values.items() if (section, key) not in automatic}
        for section, values in config.items()
        if isinstance(values, Mapping)
    }
    return yaml.safe_dump({**config, **chosen, "seed": None, **dict.fromkeys(without)})


def find_evidence(runs: Sequence[ComparedRun], common_steps: int) -> Evidence | None:
    """
    Compare groups of runs that differ only in their seed.

    Groups with the same configuration on several tasks are taken together, if each of them has all of the tasks; then
    the scores of each task are scaled to [0, 1] over all runs.

    :param runs: in the order of the comparison
    :param common_steps: number of steps that all runs have
    :return: the statistics; ``None`` if no two runs differ only in their seed
    """
    scores, measure = _read_scores(runs, common_steps)
    tasks, samples = _arrange(runs, scores)
    if max(len(values) for sample in samples.values() for values in sample) < 2:
        return None
    several = len(tasks) > 1
    if several:
        samples = _scale(list(samples), list(samples.values()))
        measure += f", scaled to 0 … 1 on each of {len(tasks)} tasks"
    names = _name_samples(runs, several)
    flat = np.concatenate([values for sample in samples.values() for values in sample])
    thresholds = np.linspace(flat.min(), flat.max(), _PROFILE_POINTS)
    groups = [_summarize(names[key], sample, thresholds) for key, sample in samples.items()]
    first, *others = samples
    pairs = [_compare(names[first], samples[first], names[key], samples[key]) for key in others]
    return Evidence(
        measure,
        tuple(thresholds.tolist()),
        tuple(groups),
        tuple(pairs),
        tuple(_list_remarks(groups, pairs, len(tasks))),
    )


def _read_scores(runs: Sequence[ComparedRun], common_steps: int) -> tuple[list[float], str]:
    """Take the last evaluation that all runs have; if one has none, the returns of training."""
    evaluations = [_find_evaluation(run, common_steps) for run in runs]
    if None not in evaluations:
        return [float(value) for value in evaluations if value is not None], (
            f"mean return of the last evaluation up to {common_steps:,} steps"
        )
    returns = [run.find_return("step", common_steps) for run in runs]
    return [math.nan if value is None else value for value in returns], (
        f"mean return of the last {WINDOW_EPISODES} training episodes up to {common_steps:,} steps"
    )


def _find_evaluation(run: ComparedRun, common_steps: int) -> float | None:
    found = [line["mean_return"] for line in run.evaluations if line["step"] <= common_steps]
    return found[-1] if found else None


def _arrange(runs: Sequence[ComparedRun], scores: Sequence[float]) -> tuple[list[str], dict[str, list[Array]]]:
    """
    :return: the tasks; for each method its scores on each task, if all methods have all tasks. Otherwise each
        configuration is a method on a task of its own
    """
    cells: dict[str, dict[str, list[float]]] = {}
    alone: dict[str, list[float]] = {}
    for run, score in zip(runs, scores, strict=True):
        if math.isnan(score):
            continue
        method = identify_configuration(run.config, automatic=run.automatic, without=_TASK_SECTIONS)
        task = yaml.safe_dump({section: run.config.get(section) for section in _TASK_SECTIONS})
        cells.setdefault(method, {}).setdefault(task, []).append(score)
        alone.setdefault(identify_configuration(run.config, automatic=run.automatic), []).append(score)
    tasks = list(dict.fromkeys(task for row in cells.values() for task in row))
    if len(tasks) > 1 and all(len(row) == len(tasks) for row in cells.values()):
        return tasks, {method: [np.array(row[task]) for task in tasks] for method, row in cells.items()}
    return tasks[:1], {config: [np.array(values)] for config, values in alone.items()} or {"": [np.zeros(0)]}


def _scale(methods: Sequence[str], samples: Sequence[Scores]) -> dict[str, list[Array]]:
    scaled: dict[str, list[Array]] = {method: [] for method in methods}
    for parts in zip(*samples, strict=True):
        low, high = min(part.min() for part in parts), max(part.max() for part in parts)
        for method, part in zip(methods, parts, strict=True):
            scaled[method].append((part - low) / (high - low or 1.0))
    return scaled


def _name_samples(runs: Sequence[ComparedRun], several: bool) -> dict[str, str]:
    members: dict[str, list[str]] = {}
    for run in runs:
        without = _TASK_SECTIONS if several else ()
        key = identify_configuration(run.config, automatic=run.automatic, without=without)
        members.setdefault(key, []).append(run.name)
    return dict(zip(members, name_groups(list(members.values())), strict=True))


def _summarize(name: str, scores: Scores, thresholds: Array) -> SeedGroup:
    flat = np.concatenate(scores)
    seeds = min(map(len, scores))
    interval, band = None, None
    if seeds > 1:
        low, high = bootstrap_interval95(compute_overall_iqm, scores)
        interval = float(low), float(high)
        ends = bootstrap_interval95(lambda resampled: compute_profile(resampled, thresholds), scores)
        band = tuple(ends[0].tolist()), tuple(ends[1].tolist())
    return SeedGroup(
        name=name,
        seeds=seeds,
        iqm=float(compute_overall_iqm(scores)),
        interval=interval,
        mean=float(flat.mean()),
        lowest=float(flat.min()),
        highest=float(flat.max()),
        profile=tuple(compute_profile(scores, thresholds).tolist()),
        profile_band=band,
    )


def _compare(first_name: str, first: Scores, second_name: str, second: Scores) -> GroupPair:
    probability = float(compute_improvement_probability(first, second))
    difference = float(compute_overall_iqm(second) - compute_overall_iqm(first))
    probability_interval = difference_interval = None
    counts = min(map(len, first)), min(map(len, second))
    if min(counts) > 1:
        low, high = bootstrap_interval95(compute_improvement_probability, first, second)
        probability_interval = float(low), float(high)
        low, high = bootstrap_interval95(lambda a, b: compute_overall_iqm(b) - compute_overall_iqm(a), first, second)
        difference_interval = float(low), float(high)
    conclusion = _conclude(
        first_name,
        second_name,
        counts,
        len(first),
        (probability, probability_interval),
        (difference, difference_interval),
    )
    return GroupPair(
        first_name, second_name, probability, probability_interval, difference, difference_interval, conclusion
    )


def _conclude(
    first: str,
    second: str,
    counts: tuple[int, int],
    tasks: int,
    probability: tuple[float, Interval | None],
    difference: tuple[float, Interval | None],
) -> str:
    chance = compute_chance_of_separation(*counts) ** tasks
    if chance > _LARGEST_CHANCE or probability[1] is None or difference[1] is None:
        return (
            f"No conclusion about {second} and {first}: {counts[1]} and {counts[0]} runs are too few. Even if all runs "
            f"of one were better than all of the other, chance alone would do that in {chance:.0%} of such "
            "comparisons; 4 seeds of each are the fewest that can show a difference."
        )
    text = (
        f"a run of {second} is better than one of {first} with probability {probability[0]:.2f} "
        f"({_format_interval(probability[1])}), and the IQM differs by {difference[0]:+.4g} "
        f"({_format_interval(difference[1], '+.4g')})"
    )
    if probability[1][0] > 0.5 and difference[1][0] > 0:
        return f"{second} is better than {first}: {text}."
    if probability[1][1] < 0.5 and difference[1][1] < 0:
        return f"{second} is worse than {first}: {text}."
    return (
        f"No conclusion about {second} and {first}: {text}. These intervals include no difference, which more seeds "
        "may show or exclude; they do not show that the two are equal."
    )


def _list_remarks(groups: Sequence[SeedGroup], pairs: Sequence[GroupPair], tasks: int) -> Iterator[str]:
    few = [group for group in groups if group.interval is not None and group.seeds < _FEW_SEEDS]
    if few:
        names = ", ".join(f"{group.name} ({group.seeds})" for group in few)
        yield f"Bootstrap intervals of fewer than {_FEW_SEEDS} seeds are too narrow: {names}."
    if any(group.interval is None for group in groups):
        names = ", ".join(group.name for group in groups if group.interval is None)
        yield f"One run shows nothing about chance: {names}."
    if len(pairs) > 1:
        yield (
            f"With {len(pairs)} comparisons, one of them shows a difference by chance in up to "
            f"{1 - 0.95 ** len(pairs):.0%} of cases."
        )
    if tasks == 1:
        yield "All scores are of one task; on another one the order may be different."


def _format_interval(interval: Interval, specification: str = ".2f") -> str:
    return f"95 % interval {interval[0]:{specification}} to {interval[1]:{specification}}"
