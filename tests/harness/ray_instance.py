"""A Ray on this machine, for tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

RAY = """
import ray
started = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, logging_level="error")
print(started.address_info["address"], flush=True)
input()
"""


@contextmanager
def starting_ray() -> Iterator[str]:
    """Start a Ray with two CPUs, which needs no token, in this process and its children neither; yield its address."""
    pipe = subprocess.PIPE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        with subprocess.Popen([sys.executable, "-c", RAY], stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            process.stdin.write("\n")
            process.stdin.close()
