"""A study in MLflow: its trials are nested in a run of the study."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from sb3_ext.errors import Sb3ExtError
from sb3_ext.runs.run import Run
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import open_study
from sb3_ext.tuning.study_run import run_study
from sb3_ext.tuning.trial_run import TrialInterrupted, run_trial

from .test_trial_run import make_wrapper, take

MakePlan = Callable[..., TuningPlan]


@pytest.mark.slow
def test_trials_are_nested_in_their_study_and_marked_by_how_they_ended(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan_here(tracking__mlflow={"experiment": "tuning"}, env__wrappers=make_wrapper("signal"))
    study = open_study(plan)
    claim = take(study)
    with pytest.raises(TrialInterrupted):
        run_trial(study, claim)
    study.put_back(claim)
    monkeypatch.setattr(f"{make_wrapper.__module__}.FailingEnv.step", lambda self, action: self.env.step(action))
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: trial.number == 1)
    run_study(study, in_process=True)
    run_study(open_study(plan), in_process=True)  # nothing to do

    assert [trial.state for trial in study.list_trials()] == [
        *(TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE)
    ]
    client = MlflowClient(f"sqlite:///{plan.directory / 'mlflow.db'}")
    runs = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("tuning").experiment_id])
    }
    parent = runs.pop("mine")
    assert (parent.info.status, parent.data.tags["trials_pruned"]) == ("FINISHED", "1")
    assert float(parent.data.tags["best_value"]) == study.study.best_value
    assert sorted(runs) == ["trial_0000", "trial_0001", "trial_0002"]
    for number, (name, run) in enumerate(sorted(runs.items())):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.data.tags["study"], run.data.tags["trial"]) == ("mine", str(number))
        assert run.info.run_id == Run(plan.directory / name).trackers["mlflow"]
    ends = [(run.info.status, run.data.tags["stop_reason"]) for _, run in sorted(runs.items())]
    assert ends == [("FINISHED", "total_steps"), ("KILLED", "pruned"), ("FINISHED", "total_steps")]


def test_a_tracker_that_refuses_the_study_ends_it_before_its_trials(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan_here(tracking__trackio={"project": "tuning"})
    study = open_study(plan)

    def refuse(*_: object) -> None:
        raise Sb3ExtError("no permission")

    monkeypatch.setattr("sb3_ext.tracking.trackio.TrackioTracker.start_group", refuse)
    with pytest.raises(Sb3ExtError, match="no permission"):
        run_study(study, in_process=True)
    assert study.list_trials()[0].state == TrialState.WAITING
