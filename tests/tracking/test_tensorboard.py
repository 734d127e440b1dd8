from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

import pytest
from stable_baselines3.common.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from sb3_ext.tracking.tensorboard import EventWriter, TensorBoardTracker
from sb3_ext.tracking.tracker import TrackedRun


def log(writer: EventWriter, steps: int = 3) -> None:
    logger = Logger(folder=None, output_formats=[writer])
    for step in range(steps):
        logger.record("loss", 1.0)
        logger.dump(step)


def test_writes_what_the_logger_dumps(tmp_path: Path) -> None:
    before = threading.excepthook
    writer = EventWriter(str(tmp_path))
    log(writer)
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2]
    assert threading.excepthook is before


def test_a_full_disk_costs_one_warning_and_the_later_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: RecordWriter, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = EventWriter(str(tmp_path))
    monkeypatch.setattr(RecordWriter, "write", fail)
    with caplog.at_level(logging.WARNING):
        log(writer)
        writer.close()
    assert caplog.messages == [
        "TensorBoard events cannot be written; training continues without them: No space left on device"
    ]


def test_other_errors_in_threads_are_still_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type))
    writer = EventWriter(str(tmp_path))
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    writer.close()
    assert seen == [ZeroDivisionError]


@pytest.mark.parametrize(("resumed_step", "kept"), [(None, [1, 2, 3]), (2, [1, 2]), (0, [])])
def test_a_resumed_run_forgets_the_points_after_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed_step: int | None, kept: list[int]
) -> None:
    from tensorboard.summary.writer import event_file_writer

    # It reads files in the order of their names, which end with a count in this process: 10 would come before 9.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    for step, points in ((None, [1, 2, 3]), (resumed_step, [4])):
        tracker = TensorBoardTracker()
        tracker.start(TrackedRun("run", tmp_path, step=step))
        for point in points:
            tracker.log_metrics({"loss": 1.0}, point, float(point))
        tracker.finish("stopped", {})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [*kept, 4]
