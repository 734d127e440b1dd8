"""Whole trials, trained here: how each kind of end is recorded, and what goes on where."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import psutil
import pytest
import yaml
from optuna.trial import TrialState

import sb3_ext
from process_commands import read_command
from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError, DiskError, TuningError
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import find_runs
from sb3_ext.runs.signals import SignalWatch
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.results import rank_trials
from sb3_ext.tuning.study import ERROR, TuningStudy, open_study
from sb3_ext.tuning.study_run import run_study
from sb3_ext.tuning.trial_run import VALUES, TrialInterrupted, run_trial
from sb3_ext.tuning.worker import work

MakePlan = Callable[..., TuningPlan]


class FailingEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Fails in one of its steps."""

    def __init__(self, env: Any, kind: str = "error", at: int = 40) -> None:
        super().__init__(env)
        self.kind, self.at, self.steps = kind, at, 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == self.at:
            if self.kind == "memory":
                raise MemoryError("no memory left")
            if self.kind == "signal":
                os.kill(os.getpid(), signal.SIGTERM)
            if self.kind == "disk":
                Path("/dev/full").write_text("an episode")
            if self.kind == "error":
                raise ValueError("the environment broke")
        return self.env.step(action)


def make_wrapper(kind: str) -> list[Any]:
    return [{f"{__name__}:FailingEnv": {"kind": kind}}]


def take(study: TuningStudy) -> Any:
    claim = study.claim_next()
    assert claim is not None
    return claim


def test_a_study_from_python(make_plan_here: MakePlan, tmp_path: Path) -> None:
    plan = make_plan_here()
    data = yaml.safe_load(plan.source.text)

    study = sb3_ext.tune(data, trials=2, study_dir=tmp_path / "study", in_process=True)

    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    runs = find_runs(tmp_path)
    assert [run.name for run in runs] == ["trial_0000", "trial_0001"]
    for trial, run in zip(study.trials, runs, strict=True):
        found = [item["mean_return"] for item in read_evaluations(run.paths.evaluations)]
        assert run.record.stop_reason == "total_steps"
        assert trial.value == pytest.approx(sum(found[-3:]) / 3)
        assert list(trial.intermediate_values) == [32, 64, 96, 128]
        assert not run.paths.training_curves.exists()
    best = load_config(tmp_path / "study" / "best.yaml")
    assert best.tune is None
    assert best.agent.params["learning_rate"] == study.best_trial.params["agent.params.learning_rate"]
    assert best.train.total_steps == 128
    table = (tmp_path / "study" / "trials.csv").read_text().splitlines()
    assert table[0].startswith("number,state,last,started,seconds,agent.params.learning_rate")
    assert [line.split(",")[:2] for line in table[1:]] == [["0", "complete"], ["1", "complete"]]
    assert {path.name for path in (tmp_path / "study" / "plots").glob("*.png")} >= {"history.png", "parallel.png"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("error", "ValueError: the environment broke"),
        ("memory", "MemoryError: no memory left"),
    ],
)
def test_a_trial_that_fails_says_why(make_plan_here: MakePlan, kind: str, error: str) -> None:
    plan = make_plan_here(env__wrappers=make_wrapper(kind), train__callbacks__checkpoint__params__interval=32)
    study = open_study(plan)
    claim = take(study)

    outcome = run_trial(study, claim)
    study.finish(claim, outcome)

    assert outcome.state == TrialState.FAIL
    assert outcome.error is not None
    assert error in outcome.error
    trial = study.list_trials()[0]
    assert (trial.state, trial.user_attrs[ERROR]) == (TrialState.FAIL, outcome.error)
    assert Run(plan.directory / "trial_0000").status == "failed"


def test_a_training_whose_losses_are_no_numbers_fails(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_ext.callbacks.stops.nan_stop.has_finite_weights", lambda _: False)
    monkeypatch.setattr("sb3_ext.callbacks.stops.nan_stop._WEIGHTS_EVERY_ROLLOUTS", 2)
    study = open_study(make_plan_here())

    outcome = run_trial(study, take(study))

    assert (outcome.state, outcome.error) == (
        TrialState.FAIL,
        "nan: a loss or a weight is not finite any more",
    )


def test_a_study_continues_after_failures_and_stops_after_many_in_a_row(make_plan_here: MakePlan) -> None:
    plan = make_plan_here(env__wrappers=make_wrapper("error"), tune__trials=9, tune__max_failures_in_a_row=3)

    with pytest.raises(TuningError) as caught:
        run_study(open_study(plan), in_process=True)

    assert "3 trials in a row failed (0, 1, 2): the study stops" in str(caught.value)
    assert "the environment broke" in str(caught.value)
    assert [trial.state.name for trial in open_study(plan).list_trials()] == ["FAIL"] * 3
    assert (plan.directory / "trials.csv").read_text().count("the environment broke") == 3


def test_a_full_disk_ends_the_study_and_the_trial_waits(make_plan_here: MakePlan) -> None:
    plan = make_plan_here(env__wrappers=make_wrapper("disk"), tune__trials=1)

    with pytest.raises(DiskError, match="trial_0000: disk error: a file cannot be written: No space left on device"):
        run_study(open_study(plan), in_process=True)

    assert [trial.state for trial in open_study(plan).list_trials()] == [TrialState.WAITING]


def test_an_interrupted_trial_continues_from_its_checkpoint(make_plan_here: MakePlan) -> None:
    plan = make_plan_here(
        env__wrappers=make_wrapper("signal"), train__callbacks__checkpoint__params__interval=32, tune__trials=1
    )
    study = open_study(plan)
    claim = take(study)
    with pytest.raises(TrialInterrupted, match="signal SIGTERM"):
        run_trial(study, claim)
    study.put_back(claim)
    run = Run(plan.directory / "trial_0000")
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGTERM")
    assert study.list_trials()[0].state == TrialState.WAITING

    with SignalWatch() as signals:
        work(open_study(plan), signals)

    assert study.list_trials()[0].state == TrialState.COMPLETE
    [line] = run.paths.resumes.read_text().splitlines()
    assert json.loads(line)["checkpoint"] is not None
    steps = [item["step"] for item in read_evaluations(run.paths.evaluations)]
    assert steps == sorted(set(steps))


def test_a_trial_that_had_ended_when_its_process_was_killed_is_only_judged(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here(tune__trials=1))
    first = run_trial(study, take(study))
    study.storage.set_trial_state_values(study.list_trials()[0]._trial_id, state=TrialState.WAITING)

    second = run_trial(study, take(study))

    assert second == first
    assert not Run(study.plan.directory / "trial_0000").paths.resumes.exists()


def test_a_pruned_trial_frees_its_environments(make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan_here(
        parallel={"mode": "subproc", "num_envs": 2}, tune__pruner={"type": "patient", "params": {"patience": 0}}
    )
    monkeypatch.setattr("optuna.pruners.PatientPruner.prune", lambda *_: True)
    study = open_study(plan)
    claim = take(study)

    outcome = run_trial(study, claim)

    run = Run(plan.directory / "trial_0000")
    assert (run.status, run.record.stop_reason) == ("stopped", "pruned")
    assert not [child for child in psutil.Process().children() if "multiprocessing.spawn" in read_command(child)]
    assert run_trial(study, claim) == outcome  # as if killed before it could say so: nothing is trained on
    assert study.finish(claim, outcome)
    assert study.list_trials()[0].state == TrialState.PRUNED
    assert not run.paths.resumes.exists()


def test_a_run_stopped_by_hand_counts_as_pruned(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here())
    claim = take(study)
    claim.trial.set_user_attr("directory", str(study.plan.directory / "trial_0000"))
    run_trial(study, claim)
    status = Run(study.plan.directory / "trial_0000").paths.status
    status.write_text(json.dumps({**json.loads(status.read_text()), "stop_reason": "stop file", "status": "stopped"}))

    assert run_trial(study, claim).state == TrialState.PRUNED


def test_several_seeds_and_objectives(make_plan_here: MakePlan) -> None:
    plan = make_plan_here(tune__seeds=2, tune__objective=["best", "fps"], tune__trials=2, tune__sampler="nsga2")

    assert run_study(open_study(plan), in_process=True) is None

    study = open_study(plan)
    runs = {run.name: run for run in find_runs(plan.directory)}
    assert set(runs) == {f"trial_000{number}_seed_{seed}" for number in (0, 1) for seed in (1, 2)}
    best = [
        max(item["mean_return"] for item in read_evaluations(runs[f"trial_0000_seed_{n}"].paths.evaluations))
        for n in (1, 2)
    ]
    assert study.list_trials()[0].values[0] == pytest.approx(sum(best) / 2)
    assert runs["trial_0000_seed_1"].meta["seed"] == 1
    assert runs["trial_0000_seed_2"].meta["seed"] == 2
    assert {trial.number for trial in rank_trials(study)} == {0, 1}
    assert load_config(plan.directory / "best.yaml").seed == 1


def test_a_trial_starts_again_if_its_directory_cannot_be_reached(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here(tune__trials=1))
    claim = take(study)
    claim.trial.set_user_attr("directory", "/nowhere/trial_0000")

    assert run_trial(study, claim).state == TrialState.COMPLETE

    assert Run(study.plan.directory / "trial_0000").status == "completed"


def test_a_foreign_run_in_its_place_is_not_taken_for_it(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here(tune__trials=2))
    first, second = take(study), take(study)
    run_trial(study, first)
    shutil.copytree(study.plan.directory / "trial_0000", study.plan.directory / "trial_0001")

    outcome = run_trial(study, second)

    assert outcome.error is not None
    assert "is a run with other values" in outcome.error
    assert second.trial.user_attrs[VALUES]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eval__every_steps": None}, "trials are judged by evaluations, and there are none"),
        ({"tune__objective": "time_to_target"}, "tune.target: time_to_target needs the return to reach"),
        ({"tune__objective": "area", "train": {"duration": "1m"}}, "area needs train.total_steps"),
        ({"tune__space": {}}, "tune.space: is empty"),
    ],
)
def test_a_study_that_cannot_be_tuned_is_refused_at_once(make_plan_here: MakePlan, changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan_here(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune__sampler": {"type": "tpe", "params": {"gama": 1}}}, "tune.sampler.params.gama: unknown parameter"),
        (
            {"tune__pruner": {"type": "asha", "params": {"reduction_factor": 0}}},
            "reduction_factor: expected an integer",
        ),
        ({"tune__pruner": {"type": "hyperband", "params": {"max_resource": "x"}}}, "tune.pruner: cannot be made"),
        ({"tune__pruner": {"type": "median", "params": {"n_min_trials": "x"}}}, "tune.pruner.params.n_min_trials"),
    ],
)
def test_parameters_of_samplers_and_pruners_are_optunas(make_plan_here: MakePlan, changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study(make_plan_here(**changes))


def test_a_signal_before_the_training_watches_for_it_is_not_lost(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sb3_ext.tuning import trial_run

    def start(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return begin(*arguments)

    begin = trial_run._start
    monkeypatch.setattr(trial_run, "_start", start)
    study = open_study(make_plan_here(train__total_steps=1_000_000))

    with SignalWatch() as signals:
        work(study, signals)

    assert study.list_trials()[0].state == TrialState.WAITING
    assert Run(study.plan.directory / "trial_0000").record.step < 100
