"""A run directory from its creation to its end, whatever the end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sb3_ext import atomic
from sb3_ext.errors import ConfigError, RunError
from sb3_ext.file_lock import is_locked
from sb3_ext.runs import session as session_module
from sb3_ext.runs import signals as signals_module
from sb3_ext.runs.directory_kind import STUDY_LOG, SWEEP_FILE
from sb3_ext.runs.owner import Owner
from sb3_ext.runs.session import RunSession
from sb3_ext.runs.signals import Interrupted
from sb3_ext.runs.status import read_status

RACE = """
import sys, time
from pathlib import Path
from sb3_ext.errors import RunError
from sb3_ext.runs.session import RunSession
sys.stdin.readline()
try:
    session = RunSession.create(Path(sys.argv[1]), config_text="", resolved_config_text="", meta={})
except RunError as error:
    print("refused:", error, flush=True)
else:
    print("won", flush=True)
    sys.stdin.readline()
    with session:
        session.finish("total_steps")
"""


def create_session(directory: Path) -> RunSession:
    return RunSession.create(directory, config_text="seed: 1", resolved_config_text="seed: 2", meta={"seed": 1})


def list_traces() -> list[object]:
    handlers = [handler for name in ("sb3_ext", "py.warnings") for handler in logging.getLogger(name).handlers]
    return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), warnings.showwarning, *handlers]


def test_a_new_run_has_its_files(tmp_path: Path) -> None:
    with create_session(tmp_path / "runs" / "a") as session:
        paths = session.paths
        assert paths.config.read_text() == "seed: 1"
        assert paths.resolved_config.read_text() == "seed: 2"
        assert json.loads(paths.meta.read_text()) == {"seed": 1}
        assert "torch==" in paths.requirements.read_text()
        assert paths.pid.read_text() == f"{os.getpid()}\n"
        assert paths.log.exists()
        assert is_locked(paths.lock)
        status = read_status(paths.status)
        assert (status.status, status.phase, status.owner) == ("running", "starting", Owner.current())
        session.finish("total_steps")


def test_a_completed_run_leaves_no_trace_of_its_process(tmp_path: Path) -> None:
    process = psutil.Process()
    files_before, traces_before = set(process.open_files()), list_traces()
    with create_session(tmp_path / "a") as session:
        session.paths.stop.touch()
        session.status.update(step=10, phase="collecting")
        session.finish("total_steps")

    status = read_status(session.paths.status)
    assert (status.status, status.stop_reason) == ("completed", "total_steps")
    assert (status.phase, status.step) == ("finished", 10)
    assert not session.paths.pid.exists()
    assert not session.paths.stop.exists()
    assert is_locked(session.paths.lock) is False
    assert set(process.open_files()) == files_before
    assert list_traces() == traces_before


def test_a_signal_stops_the_run(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        signal.raise_signal(signal.SIGTERM)
        session.finish(f"signal {session.signals.received}")

    status = read_status(session.paths.status)
    assert (status.status, status.stop_reason) == ("stopped", "signal SIGTERM")


def interrupt_twice(session: RunSession) -> None:
    with session:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)


def test_a_second_signal_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "_REPEAT_SECONDS", 0.0)
    session = create_session(tmp_path / "a")
    with pytest.raises(Interrupted):
        interrupt_twice(session)

    status = read_status(session.paths.status)
    assert (status.status, status.stop_reason) == ("stopped", "signal SIGTERM")


def test_a_signal_after_a_stop_file_counts_as_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "_REPEAT_SECONDS", 0.0)
    session = create_session(tmp_path / "a")
    session.paths.stop.touch()
    with pytest.raises(Interrupted):
        interrupt_twice(session)

    status = read_status(session.paths.status)
    assert (status.status, status.stop_reason) == ("stopped", "stop file")


@pytest.mark.parametrize(("file", "kind"), [(SWEEP_FILE, "a sweep"), (STUDY_LOG, "a study")])
def test_a_run_does_not_begin_in_the_directory_of_a_sweep_or_a_study(tmp_path: Path, file: str, kind: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(RunError, match=f"is {kind}; a run needs a directory of its own: give another --run-dir"):
        create_session(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_a_plain_keyboard_interrupt_stops_the_run(tmp_path: Path) -> None:
    session = create_session(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt

    assert read_status(session.paths.status).stop_reason == "signal SIGINT"


def test_an_error_fails_the_run_and_is_raised_again(tmp_path: Path) -> None:
    session = create_session(tmp_path / "a")
    session.finish("total_steps")
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError("division by zero")

    status = read_status(session.paths.status)
    assert status.status == "failed"
    assert status.stop_reason is not None
    assert status.stop_reason.startswith("error: ZeroDivisionError: division by zero (")
    assert "test_session.py:" in status.stop_reason
    assert "Traceback (most recent call last):" in session.paths.log.read_text()


def test_a_mistake_before_training_leaves_no_directory(tmp_path: Path) -> None:
    session = create_session(tmp_path / "a")
    with pytest.raises(ConfigError), session:
        raise ConfigError("a.yaml:1: seed: wrong")

    assert list(tmp_path.iterdir()) == []


def test_a_mistake_during_training_keeps_the_run(tmp_path: Path) -> None:
    session = create_session(tmp_path / "a")
    session.status.update(step=1)
    with pytest.raises(RunError), session:
        raise RunError("no")

    assert read_status(session.paths.status).status == "failed"


def test_leaving_without_a_reason_is_a_failure(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        pass

    assert read_status(session.paths.status).status == "failed"


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with create_session(tmp_path / "a") as session:
        session.finish("total_steps")

    assert session.paths.status.exists()


def test_a_used_directory_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").touch()

    with pytest.raises(RunError, match="never overwritten"):
        create_session(tmp_path / "a")
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["mine.txt"]


def test_a_finished_run_is_not_overwritten(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        session.finish("total_steps")

    with pytest.raises(RunError, match="never overwritten"):
        create_session(tmp_path / "a")


def test_a_living_run_names_its_owner(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        with pytest.raises(RunError, match=rf"another process \(pid {os.getpid()}\) owns"):
            create_session(tmp_path / "a")
        session.finish("total_steps")


@pytest.mark.parametrize("name", [".hidden", "..", "two words", "naïve", "a\nb", "a:b"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="letters, digits"):
        create_session(tmp_path / "x" / name)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RunError, match="cannot create a run here: Not a directory"):
        create_session(tmp_path / "file" / "a")
    with pytest.raises(RunError, match="cannot create a run here: File exists"):
        create_session(tmp_path / "file")


def test_a_creation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: object, **options: object) -> None:
        if path.name == "meta.json":
            raise OSError(28, "No space left on device")
        atomic.write_json(path, content)

    monkeypatch.setattr(session_module, "write_json", fail)
    with pytest.raises(RunError, match="No space left on device"):
        create_session(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []

    monkeypatch.undo()
    with create_session(tmp_path / "a") as session:
        session.finish("total_steps")


def test_of_two_racing_creators_one_wins(tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    processes = [start_python(RACE, tmp_path / "a") for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.stdout.readline(): process for process in processes if process.stdout is not None}

    winner = answers.pop("won\n")
    ((refusal, loser),) = answers.items()
    assert f"another process (pid {winner.pid}) owns this run directory" in refusal
    for process in (winner, loser):
        process.communicate("end\n")
    assert read_status(tmp_path / "a" / "status.json").status == "completed"


def test_a_killed_run_frees_its_lock(tmp_path: Path, start_run: Callable[[Path], subprocess.Popen[str]]) -> None:
    process = start_run(tmp_path / "a")
    assert is_locked(tmp_path / "a" / "lock") is True

    process.kill()
    process.wait()
    assert is_locked(tmp_path / "a" / "lock") is False
    assert read_status(tmp_path / "a" / "status.json").status == "running"


def test_a_process_ends_well_on_sigterm(tmp_path: Path, start_run: Callable[[Path], subprocess.Popen[str]]) -> None:
    process = start_run(tmp_path / "a")
    process.terminate()

    assert process.wait(timeout=30) == 0
    assert read_status(tmp_path / "a" / "status.json").stop_reason == "signal SIGTERM"


def test_a_resume_removes_temporary_files_of_a_killed_writer_and_no_files_of_the_user(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        session.finish("signal SIGTERM")
    left = [tmp_path / "a" / name for name in (".metrics.json.liav_i32", ".status.json.abcdefgh")]
    users = [tmp_path / "a" / name for name in (".gitignore", ".notes.txt.abcdefgh", ".metrics.json")]
    for path in [*left, *users]:
        path.touch()
    with RunSession.resume(tmp_path / "a", entry={}) as session:
        session.finish("total_steps")
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in users)


def test_a_signal_between_the_claim_and_the_block_is_not_lost(tmp_path: Path) -> None:
    before = list_traces()
    session = create_session(tmp_path / "a")
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted), session, session.starting():
        raise AssertionError("it has begun")
    assert read_status(tmp_path / "a/status.json").stop_reason == "signal SIGTERM"
    assert list_traces() == before


def test_a_claim_that_fails_leaves_the_handlers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    before = list_traces()
    with pytest.raises(RunError):
        create_session(tmp_path / "a")
    with pytest.raises(RunError):
        RunSession.resume(tmp_path / "a", entry={})
    assert list_traces() == before


def test_the_stop_file_ends_a_start_without_an_error(tmp_path: Path) -> None:
    with create_session(tmp_path / "a") as session:
        session.paths.stop.touch()
        with session.starting():
            time.sleep(30)
        raise AssertionError("it was not interrupted")
    status = read_status(tmp_path / "a/status.json")
    assert (status.status, status.stop_reason) == ("stopped", "stop file")
    assert not session.paths.stop.exists()


def test_an_error_before_the_block_ends_the_run(tmp_path: Path) -> None:
    before = list_traces()
    session = create_session(tmp_path / "a")
    with pytest.raises(ZeroDivisionError), session.preparing():
        1 / 0  # noqa: B018
    status = read_status(tmp_path / "a/status.json")
    assert status.status == "failed"
    assert (status.stop_reason or "").startswith("error: ZeroDivisionError: division by zero (")
    assert not is_locked(tmp_path / "a/lock")
    assert list_traces() == before
