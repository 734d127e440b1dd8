from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sb3_ext.tracking.journal import Journal, Record, select_numbers


def make_journal(path: Path, *logged_at: int) -> Journal:
    journal = Journal(path / "journal.jsonl")
    for step in logged_at:
        journal.append(Record(logged_at=step, time_seconds=float(step), step=step, values={"loss": 0.5}))
    return journal


def read_steps(journal: Journal, limit: int | None = None) -> list[int]:
    return [record.step for record, _ in journal.read(0, journal.size if limit is None else limit)]


def test_what_a_checkpoint_has_made_durable_can_be_sent(tmp_path: Path) -> None:
    journal = make_journal(tmp_path, 10, 20, 20, 30)
    assert journal.durable_size == 0
    journal.mark_durable(25)
    assert read_steps(journal, journal.durable_size) == [10, 20, 20]
    journal.mark_durable(30)
    assert journal.durable_size == journal.size


def test_a_training_that_goes_back_drops_what_was_logged_later(tmp_path: Path) -> None:
    make_journal(tmp_path, 10, 20, 30)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.cut(20)
    assert read_steps(journal) == [10, 20]
    assert journal.durable_size == journal.size
    make_journal(tmp_path, 40)
    assert read_steps(Journal(tmp_path / "journal.jsonl")) == [10, 20, 40]


def test_a_late_evaluation_of_an_earlier_step_is_dropped_with_the_step_at_which_it_arrived(tmp_path: Path) -> None:
    journal = make_journal(tmp_path, 10, 20)
    journal.append(Record(logged_at=30, time_seconds=3.0, step=10, values={"eval": 1.0}))
    journal.cut(20)
    assert read_steps(journal) == [10, 20]


@pytest.mark.parametrize("end", [b'{"logged_at": 30', b'{"logged_at": 30}\n', b"\xff\xfe\n"])
def test_a_damaged_end_is_dropped(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    make_journal(tmp_path, 10)
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    journal = Journal(path)
    assert (read_steps(journal), path.read_bytes()) == ([10], whole)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    journal = make_journal(tmp_path, 10)
    real_write = io.FileIO.write

    class FullDisk(io.FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            return real_write(self, data[:7])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode, buffering: FullDisk(self, "ab"))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            journal.append(Record(logged_at=20, time_seconds=2.0, step=20, values={"loss": 1.0}))
    journal.append(Record(logged_at=30, time_seconds=3.0, step=30, values={"loss": 1.0}))
    assert read_steps(Journal(tmp_path / "journal.jsonl")) == [10, 30]


def test_records_keep_every_number(tmp_path: Path) -> None:
    values = select_numbers(
        {"a": np.float32(0.1), "b": np.int64(2), "c": True, "d": math.nan, "e": -math.inf, "text": "x"}
        | {"tensor": torch.zeros(1), "array": np.zeros(2), "object": object()}
    )
    journal = Journal(tmp_path / "journal.jsonl")
    record = Record(logged_at=1, time_seconds=1.5, step=1, values=values)
    journal.append(record)
    [(found, end)] = journal.read(0, journal.size)
    assert end == journal.size
    assert found.values.keys() == {"a", "b", "c", "d", "e"}
    assert (found.values["a"], found.values["b"], found.values["e"]) == (float(np.float32(0.1)), 2, -math.inf)
    assert math.isnan(found.values["d"])
