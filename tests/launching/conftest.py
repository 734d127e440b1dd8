"""Waiting for tasks."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import TaskEnd

WaitForEnds = Callable[..., dict[str, TaskEnd]]


@pytest.fixture
def wait_for_ends() -> WaitForEnds:
    """Wait until as many tasks of a launcher have ended, and return their ends by name."""

    def wait(launcher: Launcher, count: int = 1, timeout_seconds: float = 30) -> dict[str, TaskEnd]:
        ends: dict[str, TaskEnd] = {}
        deadline = time.monotonic() + timeout_seconds
        while len(ends) < count:
            assert time.monotonic() < deadline, f"only {sorted(ends)} ended"
            ends |= {end.task.name: end for end in launcher.find_ended()}
            time.sleep(0.02)
        return ends

    return wait
