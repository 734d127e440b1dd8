"""Errors of an environment name it in every mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import make_env
from sb3_ext.config import RunConfig, load_config
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.backends.workers import WorkersBackend
from sb3_ext.vec.closing import closing_environments
from sb3_ext.vec.workers.worker_errors import WorkerError

TOY_ENV = """
import threading
import gymnasium
from sb3_ext_envs.mock import MockEnv

class Faulty(MockEnv):
    def __init__(self, fault):
        super().__init__()
        self.fault, self.is_faulty = fault, False

    def reset(self, *, seed=None, options=None):
        self.is_faulty = self.is_faulty or seed == 6
        observation, info = super().reset(seed=seed)
        if self.is_faulty and self.fault == "reset":
            info["cache"] = [threading.Lock()]
        return observation, info

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        if self.is_faulty and self._step == 4:
            if self.fault == "raise":
                raise ArithmeticError("the engine is on fire")
            if self.fault == "info":
                info["cache"] = {"locks": [threading.Lock()]}
            if self.fault == "nan":
                reward = float("nan")
        return observation, reward, terminated, truncated, info

gymnasium.register("Faulty-v0", entry_point=Faulty)
"""


@pytest.fixture(autouse=True)
def toy_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_toy.py").write_text(TOY_ENV)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def make_config(fault: str, mode: str) -> RunConfig:
    workers = {"num_workers": 2} if mode == "workers" else {}
    return load_config(
        {
            "seed": 5,
            "env": {"id": "faulty_toy:Faulty-v0", "params": {"fault": fault}},
            "parallel": {"mode": mode, "num_envs": 4, **workers},
            "agent": {"id": "ppo"},
        }
    )


def step(config: RunConfig) -> None:
    with closing_environments(make_env(config, RunPaths(Path("run").absolute()))) as env:
        env.reset()
        for _ in range(9):
            env.step(np.zeros(4, dtype=int))


@pytest.mark.parametrize("mode", ["sequential", "subproc", "workers"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("info", r"environment 1.*: info\['cache'\]\['locks'\]\[0\] \(_thread.lock\) cannot be (copied|sent)"),
        ("nan", r"environment 1 of faulty_toy:Faulty-v0: the reward is nan, at step 16, step 4 of its episode"),
        ("raise", "the engine is on fire"),
    ],
)
def test_the_error_names_the_environment(mode: str, fault: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        step(make_config(fault, mode))


def test_the_error_names_the_info_of_a_reset() -> None:
    message = r"environment 1 .*: reset_info\['cache'\]\[0\] \(_thread.lock\) cannot be sent"
    with pytest.raises(WorkerError, match=message):
        step(make_config("reset", "subproc"))


def test_subproc_is_a_process_for_each_environment() -> None:
    backend = make_configured_backend(ParallelConfig(mode="subproc", num_envs=3))
    assert isinstance(backend, WorkersBackend)
    assert backend.num_workers == 3
