from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SCRIPT = """
import multiprocessing
import os
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper

multiprocessing.set_forkserver_preload(["sb3_ext.vec.snapshots.snapshot_wrapper"])
venv = make_vec_env("CartPole-v1", 2, vec_env_cls=SubprocVecEnv, wrapper_class=SnapshotWrapper)
print(*(process.pid for process in venv.processes), flush=True)
input()
print(venv.reset().shape, flush=True)
input()
"""

StartPython = Callable[..., "subprocess.Popen[str]"]


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_workers_outlive_ctrl_c_but_not_their_parent(start_python: StartPython) -> None:
    parent = start_python(SCRIPT)
    assert parent.stdin is not None
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "(2, 4)\n"
    parent.kill()
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
