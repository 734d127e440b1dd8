"""Resumed trainings end with the same bits as uninterrupted ones; see ``zoo_scripts/exactness.py``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QUICK_CASES = [case.name for case in load_script("exactness_cases").list_quick_cases()]
ABLATIONS = list(load_script("exactness_ablations").ABLATIONS)


def run_matrix(cwd: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, SCRIPTS / "exactness.py", "--json", *options]
    results: dict[str, Any] = json.loads(subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=False).stdout)
    return results


@pytest.fixture(scope="module")
def quick_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_matrix(tmp_path_factory.mktemp("exactness"))


@pytest.mark.parametrize("name", QUICK_CASES)
def test_a_resumed_training_is_the_same(quick_results: dict[str, Any], name: str) -> None:
    assert quick_results["cases"][name]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_incomplete_restore_is_noticed(quick_results: dict[str, Any], name: str) -> None:
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
