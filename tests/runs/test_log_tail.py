"""The end of a log, and what comes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext.errors import RunError
from sb3_ext.runs import log_tail
from sb3_ext.runs.log_tail import LogTail


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("", 5, ""),
        ("a\nb\nc\n", 0, ""),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\nc\n", 3, "a\nb\nc\n"),
        ("a\nb\nc\n", 50, "a\nb\nc\n"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 3, 65536])
def test_the_last_lines_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, lines: int, expected: str, block_bytes: int
) -> None:
    monkeypatch.setattr(log_tail, "_BLOCK_BYTES", block_bytes)
    (tmp_path / "log").write_text(content)

    assert LogTail(tmp_path / "log").read_last(lines) == expected


def test_following_gives_added_lines_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "_POLL_SECONDS", 0.0)
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = LogTail(path)
    tail.read_last(1)
    additions = iter(["one\n", "", "", "last words\n"])

    def add_and_tell() -> bool:
        text = next(additions)
        with path.open("a") as file:
            file.write(text)
        return text != "last words\n"

    assert list(tail.follow(add_and_tell)) == ["one\n", "last words\n"]


def test_a_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the log does not exist"):
        LogTail(tmp_path / "log")
