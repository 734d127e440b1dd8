"""Describe the versions, the machine and the repository of a run. Packages are not imported to read their versions."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any

from sb3_ext.installed_packages import list_packages, read_version
from sb3_ext.version import __version__

_GIT_TIMEOUT_SECONDS = 10
_DISTRIBUTIONS = {
    "torch_version": "torch",
    "sb3_version": "stable-baselines3",
    "gymnasium_version": "gymnasium",
    "numpy_version": "numpy",
}


def describe_environment() -> dict[str, Any]:
    """
    Return the part of ``meta.json`` that describes the machine and the current directory.

    :return: ``git_commit`` and ``git_dirty`` (tracked files differ from the commit), both ``None`` outside a
        repository; a version of Python, sb3_ext and each main dependency; ``platform``; ``cpu_count``
    """
    commit = _run_git("rev-parse", "HEAD")
    changes = _run_git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "git_commit": commit,
        "git_dirty": None if changes is None else bool(changes),
        "python_version": platform.python_version(),
        **{key: read_version(name) for key, name in _DISTRIBUTIONS.items()},
        "sb3_ext_version": __version__,
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }


def list_requirements() -> str:
    """
    List the exact installed packages as a requirements file.

    :return: ``name==version`` lines, sorted
    """
    pins = {f"{name}=={version}" for name, version in list_packages()}
    return "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower))


def _run_git(*arguments: str) -> str | None:
    """:return: output of git; ``None`` without git, outside a repository, or if it takes too long"""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=_GIT_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
