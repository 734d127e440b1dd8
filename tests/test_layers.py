"""Imports follow the layers in pyproject.toml, and light modules load nothing heavy."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"gymnasium", "matplotlib", "numpy", "pandas", "pydantic", "sb3_contrib", "stable_baselines3", "torch"}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "envs")])}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def list_imported_modules(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_imports_satisfy_every_contract() -> None:
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        ("sb3_ext/checkpoints/__init__.py", "import sb3_ext.cli", "Imports point down"),
        ("sb3_ext/stray.py", "", "Imports point down"),
        ("sb3_ext/atomic.py", "import torch", "Runs are listed without torch"),
        ("envs/sb3_ext_envs/__init__.py", "import sb3_ext.errors", "The environments stand alone"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, statement: str, contract: str) -> None:
    for name in ("sb3_ext", "envs", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{statement}\n")

    result = lint_imports(tmp_path)

    assert result.returncode == 1
    assert f"{contract} BROKEN" in re.sub(r"\x1b\[\d*m", "", result.stdout)


@pytest.mark.parametrize("module", ["sb3_ext", "sb3_ext.runs", "sb3_ext.cli", "sb3_ext.__main__"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert not HEAVY & list_imported_modules(f"import {module}")


@pytest.mark.parametrize("stub", sorted((ROOT / "sb3_ext").rglob("__init__.pyi")), ids=lambda path: path.parent.name)
def test_public_names_exist_and_are_not_modules(stub: Path) -> None:
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT).parts))

    assert len(package.__all__) > 2
    assert [name for name in package.__all__ if isinstance(getattr(package, name), ModuleType)] == []
    assert dir(package) == sorted(package.__all__)
