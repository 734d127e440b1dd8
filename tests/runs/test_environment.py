"""What meta.json and requirements.txt say about the machine."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

import pytest

from sb3_ext.runs.environment import describe_environment, list_requirements
from sb3_ext.version import __version__


def commit_file(folder: Path) -> str:
    def run_git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    run_git("init")
    (folder / "file").write_text("1")
    run_git("add", "file")
    run_git("commit", "-m", "first")
    return run_git("rev-parse", "HEAD")


def test_versions_are_those_installed() -> None:
    environment = describe_environment()

    assert environment["python_version"] == platform.python_version()
    assert environment["sb3_ext_version"] == __version__
    assert environment["torch_version"] == importlib.metadata.version("torch")
    assert environment["sb3_version"] == importlib.metadata.version("stable-baselines3")
    assert environment["cpu_count"] >= 1
    json.dumps(environment)


def test_outside_a_repository_git_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = describe_environment()

    assert environment["git_commit"] is None
    assert environment["git_dirty"] is None


def test_without_git_installed_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert describe_environment()["git_commit"] is None


def test_a_repository_is_clean_or_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commit = commit_file(tmp_path)
    (tmp_path / "untracked").touch()
    assert describe_environment()["git_commit"] == commit
    assert describe_environment()["git_dirty"] is False

    (tmp_path / "file").write_text("2")
    assert describe_environment()["git_dirty"] is True


def test_requirements_pin_the_installed_packages() -> None:
    lines = list_requirements().splitlines()

    assert f"torch=={importlib.metadata.version('torch')}" in lines
    assert lines == sorted(set(lines), key=str.lower)


def test_requirements_equal_the_metadata_of_every_distribution() -> None:
    expected = {f"{found.name}=={found.version}" for found in importlib.metadata.distributions() if found.name}

    assert set(list_requirements().splitlines()) == expected
