"""Studies whose processes are killed at random moments; see ``zoo_scripts/tune_kills.py``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.fixture
def tune_kills(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("tune_kills")
    sys.modules.pop("tune_kills", None)


def harass(tune_kills: Any, directory: Path, storage: str | None, trials: int, kills: int, pause: float) -> None:
    harassment = tune_kills.Harassment(directory, storage, trials, seed=kills)

    findings = harassment.run(kills, longest_pause_seconds=pause)

    assert findings.problems == []
    assert findings.states == ["COMPLETE"] * trials or "PRUNED" in findings.states
    assert len(findings.states) == trials
    assert findings.killed_workers + findings.killed_parents == kills


@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", [None, "journal"])
def test_nothing_is_lost(tune_kills: Any, storage: str | None, tmp_path: Path) -> None:
    harass(tune_kills, tmp_path, storage, trials=3, kills=2, pause=5.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("storage", [None, "journal"])
def test_nothing_is_lost_however_often(tune_kills: Any, storage: str | None, tmp_path: Path) -> None:
    harass(tune_kills, tmp_path, storage, trials=80, kills=40, pause=4.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_lost_in_postgresql(tune_kills: Any, postgresql: str, tmp_path: Path) -> None:
    harass(tune_kills, tmp_path, postgresql, trials=80, kills=40, pause=4.0)
