"""A journal that ends anywhere, since its writer was killed during an append, is read and continued."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sb3_ext.tuning.optuna_journal import JournalLock, open_journal

WRITER = """
import os, sys
from pathlib import Path
import optuna
from sb3_ext.tuning.optuna_journal import open_journal

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="mine", storage=open_journal(Path(sys.argv[1])))
ledger = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
print("ready", flush=True)
while True:
    trial = study.ask()
    trial.set_user_attr("long", "x" * 20_000)
    study.tell(trial, 1.0)
    os.write(ledger, f"{trial.number}\\n".encode())
"""

# Writes the first half of a line, then lets itself be killed as it holds the lock.
TEARER = """
import sys, time
from pathlib import Path
from sb3_ext.tuning.optuna_journal import JournalLock

path = Path(sys.argv[1])
JournalLock(path).acquire()
with path.open("ab", buffering=0) as file:
    file.write(b'{"op_code":4,"worker_id":"a"')
    print("torn", flush=True)
    time.sleep(600)
"""


def make_study(path: Path, trials: int = 2) -> bytes:
    study = optuna.create_study(study_name="mine", storage=open_journal(path))
    for number in range(trials):
        study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), number)
    return path.read_bytes()


def load(path: Path) -> optuna.Study:
    return optuna.load_study(study_name="mine", storage=open_journal(path))


def test_optunas_own_is_unreadable_after_a_kill(tmp_path: Path) -> None:
    """What this module is for. When Optuna mends it, this fails, and the module can go."""
    path = tmp_path / "journal"
    path.write_bytes(make_study(path)[:-5])

    study = optuna.load_study(study_name="mine", storage=JournalStorage(JournalFileBackend(str(path))))
    for _ in range(2):
        with suppress(Exception):
            study.ask()

    with pytest.raises(json.JSONDecodeError):
        JournalStorage(JournalFileBackend(str(path)))


def test_it_is_read_and_written_on_wherever_it_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    content = make_study(path)
    first_line = content.index(b"\n") + 1

    for size in [*range(first_line, len(content), 9), len(content)]:
        path.write_bytes(content[:size])
        study = load(path)
        whole = content[:size].rpartition(b"\n")[0] + b"\n"
        assert path.read_bytes() == whole
        if size % 5 == 0 or size == len(content):
            before = len(study.trials)
            study.tell(study.ask(), 5.0)
            assert [trial.value for trial in load(path).trials[before:]] == [5.0]


def test_a_last_line_of_zeros_is_cut_off_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    content = make_study(path)
    path.write_bytes(content + b"\0" * 9000 + b"\n")

    with caplog.at_level(logging.WARNING, logger="sb3_ext"):
        assert len(load(path).trials) == 2

    assert path.read_bytes() == content
    assert "the incomplete last line of 9001 bytes is removed" in caplog.text


def test_a_whole_journal_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    content = make_study(path)

    load(path)

    assert path.read_bytes() == content
    assert caplog.text == ""


def test_another_process_with_the_journal_open_continues_after_a_kill(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """The killed process held the lock, too: the kernel has let go of it."""
    path = tmp_path / "journal"
    make_study(path)
    study = load(path)
    tearer = start_python(TEARER, path)
    assert tearer.stdout is not None
    assert tearer.stdout.readline() == "torn\n"
    assert len(study.trials) == 2  # half a line disturbs no reader

    tearer.kill()
    tearer.wait()
    study.tell(study.ask(), 7.0)

    assert [trial.value for trial in load(path).trials] == [0.0, 1.0, 7.0]


def test_no_trial_that_was_told_is_lost_to_kills(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    path, ledger = tmp_path / "journal", tmp_path / "ledger"
    make_study(path, trials=0)

    for _ in range(3):
        writer = start_python(WRITER, path, ledger)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        size, deadline = path.stat().st_size, time.monotonic() + 60
        while path.stat().st_size < size + 200_000 and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()

    told = {int(number) for number in ledger.read_text().split()}
    complete = {trial.number for trial in load(path).trials if trial.state.is_finished()}
    assert len(told) > 5
    assert told <= complete


def test_one_holds_the_lock_at_a_time(tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    path = tmp_path / "journal"
    make_study(path)
    lock = JournalLock(path)
    lock.acquire()
    tearer = start_python(TEARER, path)
    assert tearer.stdout is not None

    size = path.stat().st_size
    time.sleep(0.2)
    assert path.stat().st_size == size
    lock.release()

    assert tearer.stdout.readline() == "torn\n"
