from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

SCRIPT = """
import os
import signal
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper
from sb3_ext.vec.process_lifetime import shield_new_processes

os.setsid()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: None)
with shield_new_processes():
    venv = make_vec_env("CartPole-v1", 2, vec_env_cls=SubprocVecEnv, wrapper_class=SnapshotWrapper)
print("ready", flush=True)
input()
print(venv.reset().shape, flush=True)
"""

StartPython = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_outlive_a_signal_to_the_whole_group(start_python: StartPython, number: int) -> None:
    parent = start_python(SCRIPT)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    os.killpg(parent.pid, number)
    stdout, stderr = parent.communicate("\n", timeout=60)
    assert (stdout, parent.returncode) == ("(2, 4)\n", 0), stderr


def test_python_ends_although_workers_were_not_closed(start_python: StartPython) -> None:
    parent = start_python(SCRIPT)
    _, stderr = parent.communicate("\n", timeout=60)
    assert parent.returncode == 0, stderr
