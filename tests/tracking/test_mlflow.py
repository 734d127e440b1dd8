"""MLflow with its SQLite store, in this process; the server is in test_mlflow_server.py."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sb3_ext.errors import MissingExtraError, Sb3ExtError
from sb3_ext.tracking.mlflow import MlflowTracker
from sb3_ext.tracking.redaction import remove_login
from sb3_ext.tracking.tracker import RunGroup, TrackedRun
from sb3_ext.tracking.tracker_registry import make_trackers


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    """Where the runs are, with one database for all tests."""
    root = tmp_path_factory.mktemp("runs")
    shutil.copy(mlflow_database, root)
    return root


@pytest.fixture
def client(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def make_run(root: Path, **values: Any) -> TrackedRun:
    (root / "mine").mkdir(exist_ok=True)
    return TrackedRun("mine", root / "mine", **values)


def test_a_run_with_parameters_metrics_files_and_tags(root: Path, client: MlflowClient) -> None:
    tracker = MlflowTracker(experiment="first", tags={"team": "a"})
    run_id = tracker.start(make_run(root, tags={"git_commit": "abc"}))
    tracker.log_parameters({"seed": 1, "agent": {"params": {"gamma": 0.9}}, "train": {"callbacks": [{"type": "x"}]}})
    for step in (10, 20):
        tracker.log_metrics({"train/loss": 1 / step, "bad": math.nan}, step, 1000.5 + step)
    (root / "mine" / "videos").mkdir()
    for name in ("metrics.json", "videos/1.gif"):
        (root / "mine" / name).write_text("{}")
        tracker.log_artifact(root / "mine" / name, name)
    tracker.finish("completed", {"stop_reason": "converged", "best_return": 500.0})

    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"seed": "1", "agent.params.gamma": "0.9", "train.callbacks.x.type": "x"}
    assert found.data.tags | {
        "team": "a", "git_commit": "abc", "stop_reason": "converged", "best_return": "500.0", "mlflow.runName": "mine"
    } == found.data.tags  # fmt: skip
    history = client.get_metric_history(run_id, "train/loss")
    assert [(item.step, item.value, item.timestamp) for item in history] == [(10, 0.1, 1010500), (20, 0.05, 1020500)]
    assert math.isnan(found.data.metrics["bad"])
    files = [*client.list_artifacts(run_id), *client.list_artifacts(run_id, "videos")]
    assert {item.path for item in files} == {"metrics.json", "videos", "videos/1.gif"}
    assert (root / "mlartifacts").is_dir()
    assert tracker.url is None


def test_a_resumed_run_continues_and_takes_nothing_twice(root: Path, client: MlflowClient) -> None:
    first, second = MlflowTracker(), MlflowTracker()
    run_id = first.start(make_run(root))
    first.log_parameters({"train": {"total_steps": 10}})
    first.log_metrics({"loss": 0.5}, 10, 1.0)
    first.flush()
    assert second.start(make_run(root, id=run_id, step=10)) == run_id
    second.log_parameters({"train": {"total_steps": 20}})
    for step, time_seconds in ((10, 1.0), (20, 2.0)):
        second.log_metrics({"loss": 0.5}, step, time_seconds)
    second.finish("stopped", {})

    assert [item.step for item in client.get_metric_history(run_id, "loss")] == [10, 20]
    assert client.get_run(run_id).info.status == "KILLED"
    assert client.get_run(run_id).data.params == {"train.total_steps": "10"}


def test_a_branch_is_nested_below_its_parent(root: Path, client: MlflowClient) -> None:
    parent = MlflowTracker().start(make_run(root))
    child = MlflowTracker().start(make_run(root, parent_id=parent, step=10, tags={"parent_step": "10"}))
    tags = client.get_run(child).data.tags
    assert (tags["mlflow.parentRunId"], tags["parent_step"]) == (parent, "10")


def test_runs_of_a_group_are_nested_in_one_run(root: Path, client: MlflowClient) -> None:
    group, other = RunGroup("study", "abc", root), RunGroup("study", "def", root)
    tracker = MlflowTracker()
    tracker.start_group(group)
    parents = []
    for belongs_to in (group, group, other):
        run_id = MlflowTracker().start(make_run(root, group=belongs_to))
        parents.append(client.get_run(run_id).data.tags["mlflow.parentRunId"])
    tracker.finish_group(group, "completed", {"best_value": 1.5})

    assert parents[0] == parents[1] != parents[2]
    parent = client.get_run(parents[0])
    assert (parent.info.run_name, parent.info.status, parent.data.tags["best_value"]) == ("study", "FINISHED", "1.5")
    tracker.start_group(other)
    assert client.get_run(parents[2]).info.status == "RUNNING"


def test_more_metrics_than_one_request_takes(root: Path, client: MlflowClient) -> None:
    tracker = MlflowTracker()
    run_id = tracker.start(make_run(root))
    for step in range(2500):
        tracker.log_metrics({"loss": float(step)}, step, float(step))
    tracker.flush()
    assert len(client.get_metric_history(run_id, "loss")) == 2500


def test_deleted_runs_and_experiments_are_refused(root: Path, client: MlflowClient) -> None:
    run_id = MlflowTracker(experiment="deleted").start(make_run(root))
    client.delete_run(run_id)
    with pytest.raises(Sb3ExtError, match=f"run {run_id} of this run was deleted; restore it with `mlflow runs rest"):
        MlflowTracker(experiment="deleted").start(make_run(root, id=run_id))
    with pytest.raises(Sb3ExtError, match="run 0123 of this run was deleted"):
        MlflowTracker(experiment="deleted").start(make_run(root, id="0123"))
    client.delete_experiment(client.get_run(run_id).info.experiment_id)
    with pytest.raises(Sb3ExtError, match="experiment: the experiment 'deleted' was deleted in MLflow"):
        MlflowTracker(experiment="deleted").start(make_run(root))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://me:secret@host", "contains a password, which would be written into the run directory"),
        ("postgresql://me:secret@host/db", "contains a password"),
        ("htp://host", "expected http://host:port, https://…, sqlite:///file.db, postgresql://…, databricks or the"),
        ("http://", "expected http://host"),
    ],
)
def test_wrong_uris_are_refused_without_their_secrets(uri: str, message: str) -> None:
    with pytest.raises(Sb3ExtError) as caught:
        make_trackers({"mlflow": {"tracking_uri": uri}})
    assert str(caught.value).startswith("tracking.mlflow: tracking_uri: ")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_discarded_run_is_deleted(root: Path, client: MlflowClient) -> None:
    tracker = MlflowTracker()
    run_id = tracker.start(make_run(root))
    tracker.discard()
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize(
    ("uri", "is_local"), [(None, True), ("sqlite:///a.db", True), ("http://host", False), ("postgresql://h/db", False)]
)
def test_only_files_are_local(uri: str | None, is_local: bool) -> None:
    assert MlflowTracker(uri).is_local is is_local


def test_links_have_no_login() -> None:
    assert remove_login("http://me:secret@host:5000/path@2") == "http://host:5000/path@2"
    assert remove_login("https://host/#/runs/1") == "https://host/#/runs/1"


def test_a_database_that_cannot_be_used_is_refused(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    file.write_text("not a database")
    for path, message in [(file, "file is not a database"), (file / "mlflow.db", "File exists|Not a directory")]:
        with pytest.raises(Sb3ExtError, match=f"tracking.mlflow: {path} cannot be used as a database: ({message})"):
            MlflowTracker(f"sqlite:///{path}").start(make_run(root))
    with pytest.raises(Sb3ExtError, match="unable to open database file"):
        MlflowTracker(f"sqlite:///{tmp_path}").start(make_run(root))


def test_a_server_that_is_down_is_not_a_user_error(root: Path) -> None:
    tracker = MlflowTracker("http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
        tracker.start(make_run(root))
    assert not isinstance(caught.value, Sb3ExtError)


def test_without_mlflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tracking with MLflow needs .*: pip install 'sb3-ext\[mlflow\]'"):
        make_trackers({"mlflow": {}})
