"""Trackio with its SQLite files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from trackio import utils
from trackio.sqlite_storage import SQLiteStorage

from sb3_ext.errors import ConfigError, MissingExtraError
from sb3_ext.tracking.tracker import TrackedRun
from sb3_ext.tracking.tracker_registry import make_trackers
from sb3_ext.tracking.trackio import TrackioTracker


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("trackio.sqlite_storage", "trackio.utils"):
        monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path / "trackio")


def read_logs(run_id: str) -> list[dict[str, Any]]:
    return SQLiteStorage.get_logs("mine", run_id=run_id)


def test_metrics_parameters_and_the_end(tmp_path: Path) -> None:
    assert tmp_path / "trackio" == utils.TRACKIO_DIR
    tracker = TrackioTracker("mine", group="sweep")
    run_id = tracker.start(TrackedRun("run", tmp_path, tags={"git_commit": "abc"}))
    tracker.log_parameters({"agent": {"id": "ppo"}})
    for step in (10, 20):
        tracker.log_metrics({"loss": 1 / step, "bad": math.nan}, step, 1000.0 + step)
    tracker.finish("completed", {"stop_reason": "converged"})

    logs = read_logs(run_id)
    assert [(entry["step"], entry["loss"]) for entry in logs] == [(10, 0.1), (20, 0.05)]
    assert logs[0]["timestamp"].startswith("1970-01-01T00:16:50")
    config = SQLiteStorage.get_run_config("mine", "run", run_id=run_id)
    assert config["agent"] == {"id": "ppo"}
    assert (config["git_commit"], config["_Group"]) == ("abc", "sweep")
    assert (config["status"], config["summary_stop_reason"]) == ("completed", "converged")


def test_a_resumed_run_takes_nothing_twice(tmp_path: Path) -> None:
    first = TrackioTracker("mine")
    run_id = first.start(TrackedRun("run", tmp_path))
    for step in (10, 20, 20):
        first.log_metrics({"loss": 0.5}, step, float(step))
    first.flush()
    second = TrackioTracker("mine")
    assert second.start(TrackedRun("run", tmp_path, id=run_id, logged=1, step=20)) == run_id
    for step in (20, 20, 30):
        second.log_metrics({"loss": 0.5}, step, float(step))
    second.finish("stopped", {})

    assert [entry["step"] for entry in read_logs(run_id)] == [10, 20, 20, 30]


def test_a_run_without_metrics_leaves_no_entry(tmp_path: Path) -> None:
    tracker = TrackioTracker("mine")
    run_id = tracker.start(TrackedRun("run", tmp_path))
    tracker.finish("failed", {})
    assert read_logs(run_id) == []


def test_mistakes_are_reported_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.trackio: Project name 'my_system' is not allowed"):
        make_trackers({"trackio": {"project": "my_system"}})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[trackio\]'"):
        make_trackers({"trackio": {}})


def test_a_video_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackio.utils.MEDIA_DIR", tmp_path / "trackio" / "media")
    (tmp_path / "best.gif").write_bytes(b"film")
    (tmp_path / "league.json").write_text("{}")
    tracker = TrackioTracker("mine")
    run_id = tracker.start(TrackedRun("run", tmp_path))
    tracker.log_metrics({"loss": 0.5}, 10, 10.0)
    for _ in range(2):
        tracker.log_artifact(tmp_path / "best.gif", "videos/best.gif")
    tracker.log_artifact(tmp_path / "league.json", "league.json")
    tracker.finish("completed", {})

    assert [entry["step"] for entry in read_logs(run_id)] == [10, 10]
    video = read_logs(run_id)[1]["videos/best.gif"]
    assert (video["_type"], video["caption"]) == ("trackio.video", "videos/best.gif")
    assert (tmp_path / "trackio" / "media" / video["file_path"]).read_bytes() == b"film"
