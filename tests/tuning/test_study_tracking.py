"""A study in MLflow: its trials are nested in a run of the study."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState
from wandb.proto.wandb_internal_pb2 import Record

from sb3_ext.errors import Sb3ExtError
from sb3_ext.runs.run import Run
from sb3_ext.tracking.wandb_files import _list_files, _read_records, read_history
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import open_study
from sb3_ext.tuning.study_run import run_study
from sb3_ext.tuning.trial_run import TrialInterrupted, run_trial

from .conftest import DATA
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


TRACKIO_CODE = """
import json, sys
from trackio.sqlite_storage import SQLiteStorage
given = json.loads(sys.argv[1])
runs = {name: SQLiteStorage.get_run_config("tuning", name, run_id=run_id) for name, run_id in given}
logs = {run_id: SQLiteStorage.get_logs("tuning", run_id=run_id) for _, run_id in given}
print(json.dumps([[runs[name]["_Group"], [entry["step"] for entry in logs[run_id]]] for name, run_id in given]))
"""


def find_wandb_groups(directory: Path, run_id: str) -> set[str]:
    groups = set()
    for path in _list_files(directory, run_id):
        for content in _read_records(path.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                groups.add(record.run.run_group)
    return groups


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_study_that_is_started_again_has_each_trial_once_in_each_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    names = {"mlflow": {"experiment": "tuning"}, "wandb": {"mode": "offline"}, "trackio": {"project": "tuning"}}
    checkpoint = {"type": "checkpoint", "params": {"interval": 256, "self_test": False}}
    train = {"total_steps": 2048, "callbacks": [checkpoint]}
    path, directory = tmp_path / "tuned.yaml", tmp_path / "study"
    path.write_text(yaml.safe_dump({**DATA, "train": train, "eval": {"episodes": 1}, "tracking": names}))
    command = [sys.executable, "-m", "sb3_ext", "tune", str(path), "--study-dir", str(directory), "--trials", "2"]

    for trial in range(2):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 300
        while not [*directory.glob(f"trial_000{trial}/checkpoints/step_*512")]:
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr

    runs = [Run(directory / f"trial_000{trial}") for trial in range(2)]
    client = MlflowClient(f"sqlite:///{directory / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("tuning").experiment_id])
    [parent] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    nested = {run.info.run_name: run for run in found if run is not parent}
    assert sorted(nested) == ["trial_0000", "trial_0001"]
    assert len(found) == 3
    assert (parent.info.status, parent.data.tags["trials_complete"]) == ("FINISHED", "2")
    places = [[run.paths.root.name, run.trackers["trackio"]] for run in runs]
    output = subprocess.run(
        [sys.executable, "-c", TRACKIO_CODE, json.dumps(places)], capture_output=True, text=True, check=True
    ).stdout
    for run, (group, trackio_steps) in zip(runs, json.loads(output), strict=True):
        tracked = nested[run.paths.root.name]
        assert tracked.info.run_id == run.trackers["mlflow"]
        assert tracked.info.status == "FINISHED"
        assert tracked.data.tags["mlflow.parentRunId"] == parent.info.run_id
        steps = [entry.step for entry in client.get_metric_history(tracked.info.run_id, "train/loss")]
        assert steps == sorted(set(steps))
        assert steps[-1] == 2048
        folder, wandb_id = run.paths.root / "tracking", run.trackers["wandb"]
        rows = sorted(read_history(folder, wandb_id), key=lambda row: row["_step"])
        assert [row["_step"] for row in rows] == [*range(len(rows))]
        assert [row["global_step"] for row in rows if "train/loss" in row] == steps
        assert sorted(trackio_steps) == sorted(row["global_step"] for row in rows)
        assert (group, find_wandb_groups(folder, wandb_id)) == ("mine", {"mine"})
