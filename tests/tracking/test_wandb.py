"""W&B with its offline files, read back."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb

from sb3_ext.errors import ConfigError, MissingExtraError, Sb3ExtError
from sb3_ext.tracking.delivery_states import load_states
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker import TrackedRun
from sb3_ext.tracking.tracker_registry import make_trackers
from sb3_ext.tracking.wandb import WandbTracker
from sb3_ext.tracking.wandb_files import read_history


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))


def read_rows(root: Path, run_id: str) -> list[dict[str, Any]]:
    rows = read_history(root / "tracking", run_id)
    return [{name: value for name, value in row.items() if name not in ("_runtime", "_timestamp")} for row in rows]


def test_a_resumed_run_has_one_id_and_no_row_twice(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    tracker = WandbTracker("mine", mode="offline", group="sweep")
    run_id = tracker.start(TrackedRun("run", tmp_path, tags={"git_commit": "abc"}))
    assert (tracker.count_stored(), tracker.url) == (0, None)
    tracker.log_parameters({"agent": {"id": "ppo"}})
    for step in (10, 20, 20):
        tracker.log_metrics({"loss": 1 / step, "eval/bad": math.nan}, step, 1000.0 + step)
    tracker.log_artifact(tmp_path / "metrics.json", "metrics.json")
    tracker.finish("stopped", {"stop_reason": "signal SIGTERM", "best_return": 3.0})

    resumed = WandbTracker("mine", mode="offline")
    assert resumed.start(TrackedRun("run", tmp_path, id=run_id, step=20)) == run_id
    assert resumed.count_stored() == 3
    resumed.log_metrics({"loss": 0.5}, 30, 1030.0)
    resumed.finish("completed", {})

    rows = read_rows(tmp_path, run_id)
    assert [(row["_step"], row["global_step"], row["loss"]) for row in rows] == [
        *((0, 10, 0.1), (1, 20, 0.05), (2, 20, 0.05), (3, 30, 0.5))
    ]
    assert {row["_timestamp"] for row in read_history(tmp_path / "tracking", run_id)} == {1010.0, 1020.0, 1030.0}
    assert len(list((tmp_path / "tracking" / "wandb").glob(f"offline-run-*-{run_id}"))) == 2


def test_videos_and_results_of_a_league_are_artifacts_of_their_own(tmp_path: Path) -> None:
    names = ("config.yaml", "videos/best.gif", "league.json")
    (tmp_path / "videos").mkdir()
    for name in names:
        (tmp_path / name).write_bytes(b"GIF89a")
    tracker = WandbTracker("mine", mode="offline")
    run_id = tracker.start(TrackedRun("run", tmp_path))
    tracker.log_metrics({"loss": 1.0}, 10, 1000.0)
    for name in names:
        tracker.log_artifact(tmp_path / name, name)
    tracker.finish("completed", {})

    [path] = (tmp_path / "tracking").glob(f"wandb/offline-run-*/run-{run_id}.wandb")
    content = path.read_bytes()
    for name in (f"run-{run_id}", f"videos-{run_id}", f"league-{run_id}", "step-10", "media/videos/videos/best"):
        assert name.encode() in content, name
    assert [row["global_step"] for row in read_rows(tmp_path, run_id)] == [10]


def test_a_file_that_cannot_be_added_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file = wandb.Artifact.add_file

    def fail(artifact: wandb.Artifact, path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith("bad.json"):
            raise OSError("Input/output error")
        return add_file(artifact, path, *arguments, **options)

    monkeypatch.setattr("wandb.Artifact.add_file", fail)
    names = ("bad.json", "good.json")
    for name in names:
        (tmp_path / name).write_text("{}")
    trackers = RunTrackers(
        {"wandb": WandbTracker("mine", mode="offline")}, tmp_path / "journal.jsonl", tmp_path / "state.json", lambda: 10
    )
    trackers.start(TrackedRun("run", tmp_path), {})
    trackers.log_metrics({"loss": 1.0}, 10)
    trackers.mark_durable(10)
    trackers.log_artifacts([tmp_path / name for name in names], tmp_path)
    trackers.finish("completed", {})

    state = load_states(tmp_path / "state.json")["wandb"]
    assert [record["artifact"] for record in state.refused] == ["bad.json"]
    assert state.position == 4
    assert [row["global_step"] for row in read_rows(tmp_path, str(state.id))] == [10]
    files = (tmp_path / "tracking").glob(f"wandb/offline-run-*/run-{state.id}.wandb")
    assert any(b"good.json" in path.read_bytes() for path in files)


CODE = """
import json, os, sys
from pathlib import Path
from sb3_ext.tracking.tracker import TrackedRun
from sb3_ext.tracking.wandb import WandbTracker

if __name__ == "__main__":
    tracker = WandbTracker(mode="offline")
    tracker.start(TrackedRun("run", Path(sys.argv[1]), id="abc"))
    for row in range(tracker.count_stored(), 1000):
        tracker.log_metrics({"loss": float(row), "padding": "x" * 50}, 10 * row, 1.0)
    os.kill(os.getpid(), 9)
"""


def test_of_a_killed_process_the_rows_that_are_in_its_file_count(tmp_path: Path) -> None:
    # Without the service of this process, which would live on.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], check=False, env=environment)
    resumed = WandbTracker(mode="offline")
    resumed.start(TrackedRun("run", tmp_path, id="abc", logged=1000))
    count = resumed.count_stored()
    assert count is not None
    assert [row["_step"] for row in read_rows(tmp_path, "abc")] == [*range(count)]
    for row in range(count, count + 3):
        resumed.log_metrics({"loss": float(row)}, 10 * row, 1.0)
    resumed.finish("completed", {})
    rows = read_rows(tmp_path, "abc")
    assert [(row["_step"], row["global_step"]) for row in rows] == [(row, 10 * row) for row in range(count + 3)]


def test_disabled_writes_nothing(tmp_path: Path) -> None:
    tracker = WandbTracker(mode="disabled")
    tracker.start(TrackedRun("run", tmp_path))
    assert tracker.count_stored() is None
    tracker.log_parameters({"seed": 1})
    tracker.log_metrics({"loss": 1.0}, 10, 1.0)
    tracker.finish("completed", {})
    assert list((tmp_path / "tracking").iterdir()) == []


def test_mistakes_are_reported_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(Sb3ExtError, match=r"^tracking\.wandb: .*; run `wandb login`, set WANDB_API_KEY, or set mode"):
        WandbTracker().start(TrackedRun("run", tmp_path))
    with pytest.raises(Sb3ExtError, match=r"^tracking\.wandb: Invalid project name 'a/b': cannot contain.*found '/'$"):
        WandbTracker("a/b", mode="offline").start(TrackedRun("run", tmp_path))
    with pytest.raises(ConfigError, match=r"tracking\.wandb: mode: expected online, offline or disabled, found 'off'"):
        make_trackers({"wandb": {"mode": "off"}})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[wandb\]'"):
        make_trackers({"wandb": {}})
