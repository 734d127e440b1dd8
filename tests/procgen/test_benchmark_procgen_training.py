"""``zoo_scripts/benchmark_procgen_training.py`` compares trainings of this package and of SB3."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.procgen

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark_procgen_training")


def test_the_first_rollout_and_its_update_do_not_count(script: Any) -> None:
    # Start and end of each rollout, and the end: (seconds on the clock, seconds of all processors)
    times = [(0, 0), (50, 90), (60, 99), (62, 102), (63, 104), (66, 108), (70, 114)]
    speed = script.summarize(1_000_000, times)
    assert (speed.collecting, speed.updating) == (2.5, 2.5)
    assert (speed.processor_collecting, speed.processor_updating) == (3.5, 4.0)
    assert speed.frames_per_second == 200_000


@pytest.mark.slow
def test_all_programs_train(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--json", str(tmp_path / "found.json")])
    programs = json.loads((tmp_path / "found.json").read_text())["programs"]
    assert programs.keys() == {script.STOCK, "sb3_ext, sequential", "sb3_ext, native"}
    assert all(value > 0 for [speed] in programs.values() for value in speed.values())
    printed = capsys.readouterr().out
    assert all(f"| {name} |" in printed for name in programs)
