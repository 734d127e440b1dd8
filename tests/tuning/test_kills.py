"""Studies whose processes are killed at random moments; see ``tests/harness/tune_kills.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_kills import Harassment


def harass(directory: Path, storage: str | None, trials: int, kills: int, pause: float, seed: int = 2) -> None:
    harassment = Harassment(directory, storage, trials, seed)

    findings = harassment.run(kills, longest_pause_seconds=pause)

    assert findings.problems == []
    assert findings.states == ["COMPLETE"] * trials or "PRUNED" in findings.states
    assert len(findings.states) == trials
    assert findings.killed_workers + findings.killed_parents == kills


@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", [None, pytest.param("journal", marks=pytest.mark.slow)])
def test_nothing_is_lost_with_a_worker(storage: str | None, tmp_path: Path) -> None:
    # tests/cli/test_tune.py kills the command.
    harass(tmp_path, storage, trials=2, kills=1, pause=5.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", [None, "journal"])
def test_nothing_is_lost_with_a_worker_and_the_command(storage: str | None, tmp_path: Path) -> None:
    harass(tmp_path, storage, trials=3, kills=2, pause=5.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("storage", [None, "journal"])
def test_nothing_is_lost_however_often(storage: str | None, tmp_path: Path) -> None:
    harass(tmp_path, storage, trials=80, kills=40, pause=4.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_lost_in_postgresql(postgresql: str, tmp_path: Path) -> None:
    harass(tmp_path, postgresql, trials=80, kills=40, pause=4.0)
