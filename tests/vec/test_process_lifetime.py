from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

SCRIPT = """
import multiprocessing
import os
import signal
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper
from sb3_ext.vec.process_lifetime import shield_new_processes

multiprocessing.set_forkserver_preload(["sb3_ext.vec.snapshots.snapshot_wrapper"])
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


def test_workers_outlive_signals_to_the_whole_group_and_python_ends_although_they_were_not_closed(
    start_python: StartPython,
) -> None:
    parent = start_python(SCRIPT)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(parent.pid, number)
    stdout, stderr = parent.communicate("\n", timeout=60)
    assert (stdout, parent.returncode) == ("(2, 4)\n", 0), stderr
