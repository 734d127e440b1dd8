"""Tell the trackers of a configuration that a study starts and ends: its trials belong to it there, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import TrialState

from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.redaction import describe_safely
from sb3_ext.tracking.tracker import RunGroup
from sb3_ext.tracking.tracker_registry import make_trackers
from sb3_ext.tuning.study import TuningStudy

logger = logging.getLogger(__name__)


@contextmanager
def tracking_study(study: TuningStudy) -> Iterator[None]:
    """
    Log a study to the trackers of its configuration. A tracker that cannot be reached costs a warning.

    :param study: the study, whose trials run in the block
    :raises Sb3ExtError: before the block, if a tracker reports an error that the user must correct
    """
    plan = study.plan
    group = RunGroup(plan.name, plan.identity, plan.directory)
    trackers = make_trackers(plan.config.tracking)
    for name, tracker in list(trackers.items()):
        try:
            tracker.start_group(group)
        except Sb3ExtError:
            raise
        except Exception as error:
            logger.warning("tracker %s: the study is not logged: %s", name, describe_safely(error))
            del trackers[name]
    status = "failed"
    try:
        yield
        status = "completed" if study.is_complete() else "stopped"
    finally:
        for name, tracker in trackers.items():
            try:
                tracker.finish_group(group, status, _summarize(study))
            except Exception as error:
                logger.warning("tracker %s: the end of the study is not logged: %s", name, describe_safely(error))


def _summarize(study: TuningStudy) -> dict[str, Any]:
    trials = study.list_trials()
    counts = {f"trials_{state.name.lower()}": sum(trial.state == state for trial in trials) for state in TrialState}
    summary: dict[str, Any] = {name: count for name, count in counts.items() if count}
    if not study.plan.settings.has_several_objectives and counts["trials_complete"]:
        best = study.study.best_trial
        summary |= {"best_trial": best.number, "best_value": best.value}
    return summary
