"""status.json: written, read back, refused when it is no status."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sb3_ext.errors import RunError
from sb3_ext.runs.heartbeat_age import measure_age_by_clock
from sb3_ext.runs.owner import Owner
from sb3_ext.runs.status import RunStatus, StatusFile, read_status, status_for


@pytest.fixture
def status_file(tmp_path: Path) -> StatusFile:
    return StatusFile(tmp_path / "status.json", RunStatus.begin())


def test_a_new_status_names_the_owner_of_the_run() -> None:
    status = RunStatus.begin()

    assert (status.status, status.phase, status.step) == ("running", "starting", 0)
    assert status.owner == Owner.current()
    assert status.pid == os.getpid()
    assert status.run_id != RunStatus.begin().run_id


def test_a_status_is_read_as_it_was_written(status_file: StatusFile) -> None:
    status_file.update(step=100, total_steps=1000, epsilon=0.5, phase="updating")
    status_file.write()

    assert read_status(status_file.path) == status_file.status
    assert read_status(status_file.path).epsilon == 0.5


def test_an_update_alone_writes_nothing(status_file: StatusFile) -> None:
    status_file.update(step=100)

    assert not status_file.path.exists()


def test_an_unknown_field_is_refused(status_file: StatusFile) -> None:
    with pytest.raises(TypeError, match="stepp"):
        status_file.update(stepp=100)


def test_every_write_is_a_heartbeat(status_file: StatusFile) -> None:
    status_file.update(last_heartbeat="2020-01-01T00:00:00+00:00")
    status_file.write()

    heartbeat = datetime.fromisoformat(json.loads(status_file.path.read_text())["last_heartbeat"])
    assert heartbeat.utcoffset() == timedelta(0)
    assert 0 <= measure_age_by_clock(heartbeat.isoformat()) < 60


def test_elapsed_time_adds_to_earlier_stretches(tmp_path: Path) -> None:
    status_file = StatusFile(tmp_path / "status.json", RunStatus(elapsed_seconds=1000.0))
    status_file.write()
    status_file.write()

    assert 1000.0 <= status_file.status.elapsed_seconds < 1060.0


def test_numbers_become_plain(status_file: StatusFile) -> None:
    status_file.update(step=np.int64(7), fps=np.float32(2.5), episode_return_mean=float("nan"), best_evaluation=-np.inf)
    status_file.write()

    status = read_status(status_file.path)
    assert (status.step, status.fps, status.episode_return_mean, status.best_evaluation) == (7, 2.5, None, None)


def test_a_failing_disk_is_logged_once_and_the_run_continues(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    status_file = StatusFile(tmp_path / "missing" / "status.json", RunStatus())
    with caplog.at_level(logging.WARNING):
        status_file.write()
        status_file.write()

    assert len(caplog.records) == 1
    assert "the run continues" in caplog.text


def test_the_last_status_overwrites_the_file_on_a_full_disk(
    status_file: StatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    status_file.update(stop_detail="x" * 100)
    status_file.write()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    status_file.update(step=9, stop_detail=None)
    status_file.write()
    assert read_status(status_file.path).step == 0
    status_file.write(durable=True)
    assert read_status(status_file.path) == status_file.status


@pytest.mark.parametrize(
    ("step", "total_steps", "share"), [(50, 200, 0.25), (2048, 100, 1.0), (5, None, None), (0, 10, 0.0)]
)
def test_the_share_of_the_total(step: int, total_steps: int | None, share: float | None) -> None:
    assert RunStatus(step=step, total_steps=total_steps).share == share


def test_the_explanation_has_reason_and_detail() -> None:
    assert RunStatus().explanation == ""
    assert RunStatus(stop_reason="duration").explanation == "duration"
    assert RunStatus(stop_reason="converged", stop_detail="mean 3").explanation == "converged: mean 3"


def test_a_field_of_a_later_version_is_left_out() -> None:
    assert RunStatus.from_json({"status": "completed", "mood": "good"}) == RunStatus(status="completed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "corrupt: Expecting value"),
        (b'{"status": "runn', "corrupt: Unterminated string"),
        (b"\x80\x00", "corrupt: "),
        (b"[" * 100_000, "corrupt: "),
        (b"[]", "expected an object, found list"),
        (b"{}", "status: found None"),
        (b'{"status": "dead"}', "status: found 'dead', expected one of running, completed"),
        (b'{"status": ["running"]}', re.escape("status: found ['running'], expected str")),
        (b'{"status": "running", "step": "ten"}', "step: found 'ten', expected int"),
        (b'{"status": "running", "step": true}', "step: found True, expected int"),
        (b'{"status": "running", "fps": []}', re.escape("fps: found [], expected float or null or int")),
        (
            b'{"status": "running", "elapsed_seconds": NaN}',
            r"elapsed_seconds: found nan, expected a number below 2\*\*63",
        ),
        (b'{"status": "running", "elapsed_seconds": 1e999}', "elapsed_seconds: found inf"),
        (b'{"status": "running", "step": 1' + b"0" * 400 + b"}", "step: found 1000000"),
        (b'{"status": "running"}', "last_heartbeat: found none"),
        (b'{"status": "running", "last_heartbeat": "noon"}', "last_heartbeat: found 'noon', expected an ISO 8601"),
        (b'{"status": "running", "start_time": "2026-01-01T00:00:00"}', "with its offset from UTC"),
    ],
)
def test_a_corrupt_status_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)

    with pytest.raises(RunError, match=message) as caught:
        read_status(path)
    assert str(path) in str(caught.value)


def test_a_clock_ahead_of_ours_makes_no_negative_age() -> None:
    assert measure_age_by_clock("2999-01-01T00:00:00+00:00") == 0.0


def test_a_missing_status_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file"):
        read_status(tmp_path / "status.json")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("total_steps", "completed"),
        ("total_episodes", "completed"),
        ("duration", "completed"),
        ("converged", "completed"),
        ("plateau", "completed"),
        ("signal SIGTERM", "stopped"),
        ("stop file", "stopped"),
        ("bored", "stopped"),
        ("nan", "failed"),
        ("no update", "failed"),
        ("no checkpoint", "failed"),
        ("disk error", "failed"),
        ("error: ValueError: no (x.py:1)", "failed"),
    ],
)
def test_every_reason_belongs_to_one_status(reason: str, status: str) -> None:
    assert status_for(reason) == status
