"""How a run looks from outside, with real processes behind it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sb3_ext.atomic import write_json
from sb3_ext.errors import RunError
from sb3_ext.runs import heartbeat_age
from sb3_ext.runs import run as run_module
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.owner import Owner
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import RunStatus

StartRun = Callable[[Path], "subprocess.Popen[str]"]
LONG_AGO = "2020-01-01T00:00:00+00:00"


def make_run(directory: Path, **fields: Any) -> Run:
    """A run directory as its owner would have left it: this process, unless the fields say otherwise."""
    directory.mkdir()
    status = dataclasses.replace(RunStatus.begin(), **fields)
    write_json(directory / "status.json", status.to_json())
    return Run(directory)


def test_a_living_run_is_running(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    run = Run(tmp_path / "a")

    assert run.status == "running"
    assert run.record.pid == process.pid
    assert run.name == "a"
    assert run.config_text == "seed: 1"


def test_stretches_are_the_times_of_each_process(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", start_time=LONG_AGO, last_heartbeat="2020-01-05T00:00:00+00:00", host="here")
    day, first = 86400.0, datetime.fromisoformat(LONG_AGO).timestamp()
    assert run.stretches == [("here", first, first + 4 * day)]

    lines = [
        {
            "time": "2020-01-03T00:00:00+00:00",
            "previous_heartbeat": "2020-01-02T00:00:00+00:00",
            "previous_host": "there",
        },
        {"time": "2020-01-04T00:00:00+00:00"},  # of an earlier version, which did not note the end before it
    ]
    run.paths.resumes.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": "20')
    assert run.stretches == [("there", first, first + day), ("here", first + 3 * day, first + 4 * day)]


def test_a_killed_run_is_dead(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    process.kill()
    process.wait()

    assert Run(tmp_path / "a").status == "dead"


def test_a_killed_run_is_dead_before_its_zombie_is_reaped(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert Run(tmp_path / "a").status == "dead"


def test_a_frozen_run_is_stale(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    run = Run(tmp_path / "a", stale_after_seconds=0.5)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    assert run.status == "stale"

    process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 30
    while (status := run.status) == "stale" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == "running"


def test_an_ended_run_says_how(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    process.terminate()
    process.wait()

    assert Run(tmp_path / "a").status == "stopped"


@pytest.mark.parametrize("status", ["completed", "stopped", "failed"])
def test_a_final_status_stands_whatever_lives(tmp_path: Path, status: str) -> None:
    assert make_run(tmp_path / "a", status=status).status == status


def test_another_process_with_the_old_pid_is_not_the_run(tmp_path: Path) -> None:
    ticks = Owner.current().process_start_ticks - 1

    assert make_run(tmp_path / "a", process_start_ticks=ticks).status == "dead"


def test_a_run_of_an_earlier_boot_is_dead(tmp_path: Path) -> None:
    assert make_run(tmp_path / "a", boot_id="earlier").status == "dead"


def test_without_a_lock_file_the_identity_decides(tmp_path: Path) -> None:
    assert make_run(tmp_path / "a").status == "running"


def test_a_copied_run_is_dead(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.paths.lock.touch()

    assert run.status == "dead"


def test_a_held_lock_outweighs_the_identity(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", process_start_ticks=1)
    lock = RunLock(run.paths.lock)

    assert run.status == "running"
    lock.release()


def test_a_status_without_a_process_needs_the_lock(tmp_path: Path) -> None:
    assert make_run(tmp_path / "a", pid=None).status == "dead"


@pytest.mark.parametrize(
    ("is_recent", "has_lock_file", "status"),
    [(True, False, "running"), (True, True, "running"), (False, False, "stale"), (False, True, "dead")],
)
@pytest.mark.parametrize("skew_seconds", [0, -86400, 86400])
def test_another_hosts_run_is_judged_by_its_heartbeat_and_no_clock(
    tmp_path: Path, is_recent: bool, has_lock_file: bool, status: str, skew_seconds: float
) -> None:
    written = datetime.now(timezone.utc) + timedelta(seconds=skew_seconds)  # by the other host's clock
    run = make_run(tmp_path / "a", host="another", last_heartbeat=written.isoformat())
    if not is_recent:
        set_age(run, 300)
    if has_lock_file:
        run.paths.lock.touch()

    assert run.status == status
    assert run.record.heartbeat_age_seconds == pytest.approx(0 if is_recent else 300, abs=30)
    assert sorted(path.name for path in tmp_path.glob("a/*")) == sorted(["status.json", *["lock"] * has_lock_file])


def test_a_wrong_clock_of_this_host_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "a", host="another")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86400)

    assert run.status == "running"
    set_age(run, 300)
    assert run.status == "stale"


def test_another_hosts_run_in_a_directory_that_this_user_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(heartbeat_age, "_offsets", {})
    run = make_run(tmp_path / "a", host="another")

    assert run.status == "running"
    set_age(run, 300)
    assert run.status == "stale"


def set_age(run: Run, seconds: float) -> None:
    changed = run.paths.status.stat().st_mtime - seconds
    os.utime(run.paths.status, (changed, changed))


def test_a_run_that_ends_while_it_is_looked_at_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "a")

    def end_then_tell(path: Path) -> bool:
        write_json(run.paths.status, RunStatus(status="completed").to_json())
        return False

    monkeypatch.setattr(run_module, "is_locked", end_then_tell)
    assert run.status == "completed"


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        Run(tmp_path)


def test_a_lost_status_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.paths.meta.write_text("{}")
    run.paths.status.unlink()

    with pytest.raises(RunError, match=r"status\.json: cannot be read: No such file"):
        _ = Run(tmp_path / "a").status


def test_meta_and_metrics_are_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.paths.meta.write_text(json.dumps({"seed": 7}))
    assert run.meta == {"seed": 7}
    assert run.metrics == {}

    run.paths.metrics.write_text(json.dumps({"fps": 100}))
    assert run.metrics == {"fps": 100}


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_corrupt_metrics_are_an_error(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path / "a")
    run.paths.metrics.write_text(text)

    with pytest.raises(RunError, match=r"metrics\.json: corrupt"):
        _ = run.metrics


def test_the_size_counts_every_file_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    before = run.measure_bytes()
    run.paths.checkpoints.mkdir()
    (run.paths.checkpoints / "one").write_bytes(b"x" * 1000)
    (run.paths.checkpoints / "again").hardlink_to(run.paths.checkpoints / "one")

    assert run.measure_bytes() == before + 1000
