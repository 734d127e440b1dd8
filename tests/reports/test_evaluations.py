"""evaluations.jsonl: whole lines, and unfinished ones survived."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sb3_ext.reports.evaluations import append_evaluation, read_evaluations, rewind_evaluations


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "evaluations.jsonl"
    for step in (10, 20, 30):
        append_evaluation(path, {"step": step, "mean_return": None})
    return path


def test_reads_what_was_appended(lines: Path) -> None:
    assert read_evaluations(lines) == [{"step": step, "mean_return": None} for step in (10, 20, 30)]


def test_a_missing_file_has_no_evaluations(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path / "none.jsonl") == []
    rewind_evaluations(tmp_path / "none.jsonl", 0)


@pytest.mark.parametrize("cut", range(1, 32))
def test_an_unfinished_line_costs_only_itself(lines: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    content = lines.read_bytes()
    lines.write_bytes(content[:-cut])
    is_whole = cut == 1  # only the line break is missing

    append_evaluation(lines, {"step": 40})

    with caplog.at_level(logging.WARNING):
        steps = [evaluation["step"] for evaluation in read_evaluations(lines)]
    assert steps == ([10, 20, 30, 40] if is_whole else [10, 20, 40])
    assert bool(caplog.records) is (not is_whole)


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"[1]\n", b"{\n", b"{}\n"])
def test_garbage_is_left_out(lines: Path, garbage: bytes) -> None:
    lines.write_bytes(garbage + lines.read_bytes())
    assert len(read_evaluations(lines)) == 3


@pytest.mark.parametrize(("step", "kept"), [(5, []), (10, [10]), (25, [10, 20]), (99, [10, 20, 30])])
def test_rewinding_drops_later_steps(lines: Path, step: int, kept: list[int]) -> None:
    rewind_evaluations(lines, step)
    assert [evaluation["step"] for evaluation in read_evaluations(lines)] == kept


def test_strict_json_only(lines: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_evaluation(lines, {"step": 1, "mean_return": float("nan")})
