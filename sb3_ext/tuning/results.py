"""What a study has found: the best configuration, ready to train, and a table of all trials."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sb3_ext.atomic import write_text
from sb3_ext.config import dump_config, load_config
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import DIRECTORY, ERROR, TuningStudy
from sb3_ext.tuning.trial_run import VALUES

BEST, TABLE = "best.yaml", "trials.csv"


def rank_trials(study: TuningStudy) -> list[FrozenTrial]:
    """
    :param study: any
    :return: the complete trials, best first. With several objectives those that no other beats in all of them come
        first; within both groups the first objective decides
    """
    complete = [trial for trial in study.list_trials() if trial.state == TrialState.COMPLETE]
    signs = [1.0 if is_minimized else -1.0 for is_minimized in study.plan.is_minimized]
    front = {trial.number for trial in compute_front(study)}

    def rank(trial: FrozenTrial) -> tuple[Any, ...]:
        losses = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        return (trial.number not in front, losses, trial.number)

    return sorted(complete, key=rank)


def compute_front(study: TuningStudy) -> list[FrozenTrial]:
    """:return: the complete trials that no other beats in all objectives; with one objective the best"""
    if not any(trial.state == TrialState.COMPLETE for trial in study.list_trials()):
        return []
    return study.study.best_trials if len(study.plan.is_minimized) > 1 else [study.study.best_trial]


def write_best(study: TuningStudy) -> None:
    """
    Write ``best.yaml``, complete, if any trial is. With several objectives it is the best of the front by the first.

    :param study: any
    """
    ranked = rank_trials(study)
    if not ranked:
        return
    plan, best = study.plan, ranked[0]
    names = zip(plan.settings.objective, best.values, strict=True)
    values = ", ".join(f"{name} {value:.6g}" for name, value in names)
    head = f"# Trial {best.number} of the study '{plan.name}': {values}.\n"
    config = load_config(plan.source, plan.make_overrides(best.user_attrs[VALUES]))
    write_text(plan.directory / BEST, head + dump_config(config))


def write_table(study: TuningStudy) -> None:
    """
    Write ``trials.csv``: a line a trial.

    :param study: any
    """
    plan = study.plan
    keys = list(plan.space.dimensions)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "state", *plan.settings.objective, "started", "seconds", *keys, "error", "directory"])
    for trial in study.list_trials():
        values = trial.user_attrs.get(VALUES, {})
        table.writerow(
            [
                trial.number,
                trial.state.name.lower(),
                *_list_values(trial, plan),
                "" if trial.datetime_start is None else trial.datetime_start.isoformat(timespec="seconds"),
                "" if trial.duration is None else f"{trial.duration.total_seconds():.1f}",
                *(values.get(key, "") for key in keys),
                trial.user_attrs.get(ERROR, ""),
                trial.user_attrs.get(DIRECTORY, ""),
            ]
        )
    write_text(plan.directory / TABLE, text.getvalue(), durable=False)


def _list_values(trial: FrozenTrial, plan: TuningPlan) -> Sequence[Any]:
    """Leave out the value of a pruned trial: it is its last evaluation, not the objective."""
    if trial.state != TrialState.COMPLETE:
        return [""] * len(plan.settings.objective)
    return list(trial.values)
