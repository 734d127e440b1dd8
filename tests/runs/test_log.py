"""logs/training.log."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import pytest

from sb3_ext.errors import RemoteTraceback, find_place
from sb3_ext.runs.log import TrainingLog


def test_the_package_and_warnings_are_logged_in_utc(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "logs" / "training.log")
    logging.getLogger("sb3_ext.some.module").info("hello %s", "world")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("careful", UserWarning, "file.py", 12)
    log.close()

    lines = (tmp_path / "logs" / "training.log").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO    sb3_ext\.some\.module: hello world", lines[0])
    assert "WARNING py.warnings: file.py:12: UserWarning: careful" in lines[1]


def test_closing_leaves_logging_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("sb3_ext")
    before = (logger.level, list(logger.handlers), warnings.showwarning)
    log = TrainingLog(tmp_path / "logs" / "training.log")
    assert logger.level == logging.INFO
    log.close()

    assert (logger.level, list(logger.handlers), warnings.showwarning) == before


def test_warnings_captured_by_others_stay_captured(tmp_path: Path) -> None:
    logging.captureWarnings(True)
    try:
        captured = warnings.showwarning
        TrainingLog(tmp_path / "logs" / "training.log").close()
        assert warnings.showwarning is captured
    finally:
        logging.captureWarnings(False)


def test_more_detail_that_was_asked_for_stays(tmp_path: Path) -> None:
    logger = logging.getLogger("sb3_ext")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        log = TrainingLog(tmp_path / "logs" / "training.log")
        assert logger.level == logging.DEBUG
        log.close()
    finally:
        logger.setLevel(level)


def test_a_traceback_goes_to_the_file_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = TrainingLog(tmp_path / "logs" / "training.log")
    try:
        raise ValueError("wrong")
    except ValueError as error:
        log.write_traceback("it failed", error)
        place = find_place(error)
    log.close()

    text = (tmp_path / "logs" / "training.log").read_text()
    assert "ERROR   sb3_ext: it failed\nTraceback (most recent call last):" in text
    assert "ValueError: wrong" in text
    assert not caplog.records
    assert re.fullmatch(r".*test_log\.py:\d+", place)


def test_of_an_error_in_another_process_its_own_traceback_is_kept(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "logs" / "training.log")
    try:
        raise ValueError("wrong") from RemoteTraceback("over there:\nValueError: wrong\n", "there.py:7")
    except ValueError as error:
        log.write_traceback("it failed", error)
        place = find_place(error)
    log.close()

    text = (tmp_path / "logs" / "training.log").read_text()
    assert text.endswith("ERROR   sb3_ext: it failed\nover there:\nValueError: wrong\n")
    assert place == "there.py:7"


def test_lines_that_a_full_disk_does_not_take_are_lost_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = TrainingLog(tmp_path / "logs" / "training.log")
    log._handler.setStream(open("/dev/full", "w")).close()  # type: ignore[union-attr]  # noqa: SIM115
    logging.getLogger("sb3_ext.some.module").info("hello")
    log.write_traceback("error", ValueError("lost"))
    log.close()
    assert capsys.readouterr().err == ""
