"""``zoo_scripts/benchmark_start.py`` measures the start and the end of trainings and commands."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.mark.slow
def test_every_part_takes_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    path = tmp_path / "start.json"
    monkeypatch.setattr("sys.argv", ["benchmark_start.py", "--repeats", "1", "--json", str(path)])

    assert importlib.import_module("benchmark_start").main() == 0

    printed = capsys.readouterr().out
    found = json.loads(path.read_text())
    assert len(found) == 7
    for work, durations in found.items():
        assert work in printed
        [duration] = durations["sb3-ext"]
        assert duration["wall_seconds"] > 0, work
        assert duration["processor_seconds"] > 0, work
