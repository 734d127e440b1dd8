"""A run whose tracker was down: `runs sync` sends what it has missed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import sb3_ext
from sb3_ext.building.trackers import describe_tracked_run
from sb3_ext.cli import cli
from sb3_ext.errors import Sb3ExtError
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.paths import RunPaths
from sb3_ext.tracking import tracker_registry

from .conftest import Service, ServiceTracker

NAME = "sb3_ext.tracking:Tracker"

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 16, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {"total_steps": 32, "log_every_episodes": 1},
    "eval": {"episodes": 2},
    "tracking": {NAME: {}},
}


@pytest.fixture(autouse=True)
def trackers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: Service) -> None:
    monkeypatch.chdir(tmp_path)
    load = tracker_registry.load_tracker_class
    monkeypatch.setattr(
        tracker_registry,
        "load_tracker_class",
        lambda name: partial(ServiceTracker, service) if name == NAME else load(name),
    )


def sync(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["runs", "sync", *arguments])


def test_a_service_that_was_down_gets_the_run_later(service: Service) -> None:
    service.error = ConnectionError("no route to host")
    sb3_ext.train(CONFIG, run_dir="run")
    down = sync("run")
    service.error = None
    first, second = sync("run"), sync("run")

    assert (down.exit_code, first.exit_code, second.exit_code) == (1, 0, 0)
    assert "records left: ConnectionError: no route to host" in down.stderr
    assert f"run  {NAME}: sent {len(service.runs['run-0']) - 1} records  memory://run-0\n" in first.stdout
    assert service.get_steps()[-1] == 32
    assert service.runs["run-0"][-1][:2] == ("finish", "completed")
    assert second.stdout == f"run  {NAME}: sent 0 records  memory://run-0\n"


def test_a_refusal_and_a_run_that_trains_are_reported(service: Service) -> None:
    service.error = ConnectionError("no route to host")
    sb3_ext.train(CONFIG, run_dir="run")
    service.error = Sb3ExtError("no permission")
    refused = sync("run")
    lock = RunLock(Path("run/lock").absolute())
    owned = sync("run")
    lock.release()

    assert (refused.exit_code, owned.exit_code) == (2, 2)
    assert refused.stderr.strip().endswith("no permission")
    assert "is running, and its own process serves its trackers" in owned.stderr


def test_a_refused_resume_leaves_the_run_as_it_was(service: Service) -> None:
    sb3_ext.train(CONFIG, run_dir="run")
    kept = [Path("run/status.json"), Path("run/config.resolved.yaml")]
    before = [path.read_text() for path in kept]
    service.error = Sb3ExtError("the run was deleted")
    result = CliRunner().invoke(cli, ["train", "--resume", "run", "--total-steps", "64"])

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "the run was deleted"
    assert "Traceback" not in result.output + Path("run/logs/training.log").read_text()
    assert [path.read_text() for path in kept] == before
    assert not Path("run/resumes.jsonl").exists()
    assert service.runs["run-0"][-1][:2] == ("finish", "completed")
    service.error = None
    sync("run")
    assert service.runs["run-0"][-1][:2] == ("finish", "completed")
    assert sb3_ext.resume("run", overrides=["train.total_steps=64"]).record.step == 64


def test_the_place_of_the_run_is_shown(service: Service) -> None:
    run = sb3_ext.train(CONFIG, run_dir="run")
    shown = CliRunner().invoke(cli, ["runs", "show", "run"])

    assert run.status == "completed"
    assert "memory://run-0" in shown.stdout


def test_runs_of_a_sweep_belong_to_it(service: Service, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text('{"seeds": [1]}')
    sb3_ext.train(CONFIG, run_dir="sweep/seed_1")
    found = describe_tracked_run(RunPaths(tmp_path / "sweep" / "seed_1"))

    assert found.group is not None
    assert (found.group.name, found.group.directory) == ("sweep", tmp_path / "sweep")
    assert (found.tags["sweep"], found.tags["seed"]) == ("sweep", "1")


def test_of_a_killed_run_everything_until_its_last_checkpoint_is_sent_once(service: Service) -> None:
    service.error = ConnectionError("no route to host")
    sb3_ext.train(CONFIG, run_dir="run")
    status = json.loads(Path("run/status.json").read_text())
    Path("run/status.json").write_text(json.dumps({**status, "status": "running", "stop_reason": None}))
    journal = Path("run/tracking/journal.jsonl")
    lines = journal.read_text().splitlines()[:-1]  # without the end
    later = {"number": len(lines), "logged_at": 99, "time_seconds": 1.0, "step": 99, "values": {"lost": 1.0}}
    journal.write_text("".join(f"{line}\n" for line in [*lines, json.dumps(later)]))
    service.error = None
    first, second = sync("run"), sync("run")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert 99 not in service.get_steps()
    assert service.runs["run-0"][-1] == ("finish", "failed", {"stop_reason": "the process was killed"})
    assert [entry[0] for entry in service.runs["run-0"]].count("finish") == 1


def test_videos_and_results_of_a_league_are_sent_once_after_training(service: Service) -> None:
    sb3_ext.train(CONFIG, run_dir="run")
    steps = len(service.get_steps())
    Path("run/best.gif").write_bytes(b"film")
    Path("run/league.json").write_text("{}")
    Path("run/status.txt").write_text("another file")
    first, second = sync("run"), sync("run")
    Path("run/league.json").write_text('{"games": 20}')
    third = sync("run")

    assert [outcome.exit_code for outcome in (first, second, third)] == [0, 0, 0], first.output
    assert "sent 3 records" in first.stdout
    assert "sent 0 records" in second.stdout
    sent = [(entry[1], entry[2]) for entry in service.runs["run-0"] if entry[0] == "artifact"][-3:]
    assert sent == [("best.gif", b"film"), ("league.json", b"{}"), ("league.json", b'{"games": 20}')]
    assert service.runs["run-0"][-1][:2] == ("finish", "completed")
    assert len(service.get_steps()) == steps
