"""Log a study to the trackers of its configuration, where its trials belong to it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from optuna.trial import TrialState

from sb3_ext.tracking.group_tracking import tracking_group
from sb3_ext.tracking.tracker import RunGroup
from sb3_ext.tuning.study import TuningStudy


def tracking_study(study: TuningStudy) -> AbstractContextManager[None]:
    """
    Log a study to the trackers of its configuration. If a tracker cannot be reached, a warning is logged.

    :param study: the study, whose trials run in the block
    :raises Sb3ExtError: before the block, if a tracker reports an error that the user must correct
    """
    plan = study.plan

    def summarize() -> tuple[str, dict[str, Any]]:
        return "completed" if study.is_complete() else "stopped", _summarize(study)

    return tracking_group(RunGroup(plan.name, plan.identity, plan.directory), plan.config.tracking, summarize)


def _summarize(study: TuningStudy) -> dict[str, Any]:
    trials = study.list_trials()
    counts = {f"trials_{state.name.lower()}": sum(trial.state == state for trial in trials) for state in TrialState}
    summary: dict[str, Any] = {name: count for name, count in counts.items() if count}
    if not study.plan.settings.has_several_objectives and counts["trials_complete"]:
        best = study.study.best_trial
        summary |= {"best_trial": best.number, "best_value": best.value}
    return summary
