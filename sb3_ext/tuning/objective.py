"""What a trial is worth: one number an objective, from the evaluations of its runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.run import Run
from sb3_ext.tuning.plan import TuningPlan

_MISSED_FACTOR = 2.0


class NothingToJudge(Exception):
    """A run has no evaluation, or none whose return is a number."""


def judge_runs(plan: TuningPlan, runs: Sequence[Run]) -> list[float]:
    """
    :param plan: of the study
    :param runs: of one trial, all ended
    :return: the mean over the runs of each objective
    :raises NothingToJudge: if one has no evaluation that counts
    """
    return [fmean(_judge(plan, run, name) for run in runs) for name in plan.settings.objective]


def _judge(plan: TuningPlan, run: Run, objective: str) -> float:
    if objective == "fps":
        record = run.record
        return record.step / max(record.elapsed_seconds, 1e-9)
    found = read_evaluations(run.paths.evaluations)
    evaluations = [(item["step"], item["mean_return"]) for item in found if item.get("mean_return") is not None]
    if not evaluations:
        raise NothingToJudge("no evaluation with a return that is a number; does any episode end in eval.episodes?")
    return _JUDGES[objective](plan, evaluations)


Evaluations = Sequence[tuple[int, float]]


def judge_last(plan: TuningPlan, evaluations: Evaluations) -> float:
    """Mean of the last evaluations."""
    return fmean(float(value) for _, value in evaluations[-plan.settings.last_evaluations :])


def judge_best(plan: TuningPlan, evaluations: Evaluations) -> float:
    """The best evaluation."""
    return max(value for _, value in evaluations)


def judge_area(plan: TuningPlan, evaluations: Evaluations) -> float:
    """
    Area under the curve of evaluations over all of ``train.total_steps``, divided by them: a mean return over time.
    The first value counts from step 0, the last one to the end.
    """
    total = max(plan.config.train.total_steps or 0, evaluations[-1][0])
    points = [(0, evaluations[0][1]), *evaluations, (total, evaluations[-1][1])]
    pairs = pairwise(points)
    return sum((after - before) * (first + second) / 2 for (before, first), (after, second) in pairs) / max(total, 1)


def judge_time_to_target(plan: TuningPlan, evaluations: Evaluations) -> float:
    """Steps until an evaluation reached the target; twice the whole training if none did."""
    target = math.inf if plan.target is None else plan.target
    reached = [step for step, value in evaluations if value >= target]
    total = max(plan.config.train.total_steps or 0, evaluations[-1][0])
    return float(min(reached, default=_MISSED_FACTOR * total))


_JUDGES: Mapping[str, Callable[[TuningPlan, Evaluations], float]] = {
    "last": judge_last,
    "best": judge_best,
    "area": judge_area,
    "time_to_target": judge_time_to_target,
}
