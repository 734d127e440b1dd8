"""Resumed trainings end with the same bits as uninterrupted ones; see ``tests/harness/exactness.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import exactness
from exactness_ablations import ABLATIONS
from exactness_cases import list_quick_cases

pytestmark = pytest.mark.timeout(900)


def run_matrix(cwd: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, exactness.__file__, "--json", *options]
    results: dict[str, Any] = json.loads(subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=False).stdout)
    return results


@pytest.fixture(scope="module")
def quick_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_matrix(tmp_path_factory.mktemp("exactness"))


@pytest.mark.parametrize("name", [case.name for case in list_quick_cases()])
def test_a_resumed_training_is_identical(quick_results: dict[str, Any], name: str) -> None:
    assert quick_results["cases"][name]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_incomplete_restore_is_detected(quick_results: dict[str, Any], name: str) -> None:
    assert quick_results["ablations"][name]


@pytest.mark.slow
def test_all_kinds_of_trainings_with_workers(tmp_path: Path) -> None:
    results = run_matrix(tmp_path, "--mode", "workers", "--stop-steps", "120")
    assert len(results["cases"]) > 20
    assert [name for name, is_same in results["cases"].items() if not is_same] == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_matrix(tmp_path: Path) -> None:
    results = run_matrix(tmp_path, "--full", "--stop-steps", "31", "120", "263")
    assert len(results["cases"]) > 200
    assert [name for name, is_same in results["cases"].items() if not is_same] == []
