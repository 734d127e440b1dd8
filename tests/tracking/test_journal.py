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


def read_steps(journal: Journal, end: int | None = None) -> list[int]:
    return [record.step for record in journal.read(0, journal.end if end is None else end)]


def test_what_a_checkpoint_has_made_durable_can_be_sent(tmp_path: Path) -> None:
    journal = make_journal(tmp_path, 10, 20, 20, 30)
    assert journal.durable_end == 0
    journal.mark_durable(25)
    assert read_steps(journal, journal.durable_end) == [10, 20, 20]
    journal.mark_durable(30)
    assert journal.durable_end == journal.end


def test_a_training_that_goes_back_drops_what_was_logged_later(tmp_path: Path) -> None:
    make_journal(tmp_path, 10, 20, 30)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.cut(20)
    assert read_steps(journal) == [10, 20]
    assert journal.durable_end == journal.end
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
    [found] = journal.read(0, journal.end)
    assert found.values.keys() == {"a", "b", "c", "d", "e"}
    assert (found.values["a"], found.values["b"], found.values["e"]) == (float(np.float32(0.1)), 2, -math.inf)
    assert math.isnan(found.values["d"])


def make_small_journal(path: Path, sent: int, count: int) -> Journal:
    """A journal of at most 4,000 bytes, with an evaluation after every 50 records; one has about 80 bytes."""
    journal = Journal(path / "journal.jsonl", max_bytes=4000, find_sent=lambda: sent)
    for step in range(count):
        name = "eval/mean_return" if step % 50 == 49 else "loss"
        journal.append(Record(logged_at=step, time_seconds=1.0, step=step, values={name: 0.5}))
    return journal


def test_a_large_journal_drops_what_was_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = make_small_journal(tmp_path, 1000, 300)
    steps = read_steps(journal)
    assert steps == [*range(steps[0], 300)]
    assert 20 < len(steps) < 50
    assert (tmp_path / "journal.jsonl").stat().st_size <= 4000
    assert caplog.messages == []
    again = Journal(tmp_path / "journal.jsonl")
    assert (read_steps(again), again.end, again.count(299), again.last_step) == (steps, 300, 1, 299)
    assert (again.find_number(290, -5), again.find_number(290, 5), again.find_number(299, 5)) == (285, 295, 300)
    again.cut(290)
    assert (read_steps(again)[-1], again.end) == (290, 291)
    earlier = Journal(tmp_path / "journal.jsonl")
    earlier.cut(100)  # before everything that is left
    assert (read_steps(earlier), earlier.end) == ([], steps[0])


def test_a_large_journal_keeps_the_records_of_files_that_were_sent(tmp_path: Path) -> None:
    sent = 0
    journal = Journal(tmp_path / "journal.jsonl", max_bytes=4000, find_sent=lambda: sent)
    journal.append(Record(logged_at=0, time_seconds=1.0, artifact="videos/best.gif"))
    sent = 1000
    for step in range(1, 300):
        journal.append(Record(logged_at=step, time_seconds=1.0, step=step, values={"loss": 0.5}))
    first, second, *_ = journal.read(0, journal.end)
    assert (first.number, first.artifact) == (0, "videos/best.gif")
    assert second.number > 200
    assert (tmp_path / "journal.jsonl").stat().st_size <= 4000
    again = Journal(tmp_path / "journal.jsonl")
    again.cut(290)
    assert (again.end, again.count(1), again.count(0)) == (291, 291 - second.number, 292 - second.number)


def test_a_large_journal_that_cannot_be_sent_thins_out_the_values_of_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = make_small_journal(tmp_path, 0, 600)
    steps = read_steps(journal)
    assert [step for step in steps if step % 50 == 49] == [*range(49, 600, 50)]
    assert len(steps) > 24
    assert steps == sorted(steps)
    assert (tmp_path / "journal.jsonl").stat().st_size <= 4000
    assert len(caplog.messages) == 1
    assert "values of more than 2.0 kB have not been sent" in caplog.text
    assert read_steps(Journal(tmp_path / "journal.jsonl")) == steps


def test_records_are_read_while_the_journal_is_halved(tmp_path: Path) -> None:
    journal = make_small_journal(tmp_path, 1000, 30)
    reading = journal.read(0, journal.end)
    first = next(reading).step
    for step in range(30, 100):
        journal.append(Record(logged_at=step, time_seconds=1.0, step=step, values={"loss": 0.5}))
    assert [first, *(record.step for record in reading)] == [*range(30)]
