"""Environments in actors of Ray, on an instance of two CPUs."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from stable_baselines3.common.vec_env import DummyVecEnv

from run_digests import digest_run
from run_processes import RunProcess
from sb3_ext import resume, train
from sb3_ext.cli import cli
from sb3_ext.vec import RayVecEnv
from sb3_ext.vec.workers.worker_errors import WorkerError, WorkerLostError
from signal_callback import SignalCallback

pytestmark = pytest.mark.slow  # Ray is large, so only `tox -e slow` installs it

CARTPOLES = [partial(gymnasium.make, "CartPole-v1", max_episode_steps=14)] * 4


@pytest.fixture(autouse=True, scope="module")
def local_ray() -> Iterator[None]:
    import ray

    yield
    ray.shutdown()


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 30},
        "parallel": {"mode": "ray", "num_envs": 4, "num_workers": 2},
        "agent": {
            "id": "ppo",
            "threads": 1,
            "params": {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
        },
        "train": {"total_steps": 256, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
        "eval": {"episodes": 1, "every_steps": None},
    }


def walk(env: Any) -> list[Any]:
    generator = np.random.default_rng(0)
    env.seed(5)
    found = [env.reset().tolist()]
    for _ in range(40):
        observations, rewards, dones, infos = env.step(generator.integers(2, size=4))
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = info["terminal_observation"].tolist()
        found.append((observations.tolist(), rewards.tolist(), dones.tolist(), infos))
    return found


def test_actors_give_the_same_steps_as_sb3_and_are_replaced() -> None:
    env = RayVecEnv(CARTPOLES, 2, max_worker_restarts=1)
    assert walk(env) == walk(DummyVecEnv(list(CARTPOLES)))
    assert env.get_attr("gravity", [3]) == [9.8]
    last = env.step(np.zeros(4, dtype=int))[0]
    assert isinstance(last, np.ndarray)

    os.kill(env.worker_pids[1], signal.SIGKILL)
    _, rewards, dones, infos = env.step(np.zeros(4, dtype=int))
    assert dones.tolist()[2:] == [True, True]
    assert rewards.tolist()[2:] == [0, 0]
    assert infos[3]["TimeLimit.truncated"]
    assert infos[3]["terminal_observation"].tolist() == last[3].tolist()
    env.step(np.zeros(4, dtype=int))

    os.kill(env.worker_pids[0], signal.SIGKILL)
    with pytest.raises(WorkerLostError, match=r"worker 0 \(environments 0 to 1\) was lost by Ray while stepping"):
        env.step(np.zeros(4, dtype=int))
    env.close()


def test_errors_name_the_environment_and_hanging_actors_are_ended() -> None:
    env = RayVecEnv(CARTPOLES[:2], 2, step_timeout_seconds=1.0)
    with pytest.raises(WorkerError, match=r"environment 0 \(in worker 0\) failed: "):
        env.step(np.zeros(2, dtype=int))  # without a reset
    env.reset()
    env.step_async(np.zeros(2, dtype=int))
    os.kill(env.worker_pids[1], signal.SIGSTOP)
    env.step_wait()
    with pytest.raises(WorkerLostError, match=r"worker 1 \(environment 1\) hangs: it has been stepping for 1\.\d s"):
        env.step(np.zeros(2, dtype=int))
    env.close()


def test_a_run_continues_exactly_outside_of_ray(config: dict[str, Any], tmp_path: Path) -> None:
    whole = train({**config, "parallel": {"num_envs": 4, "mode": "sequential"}}, run_dir=tmp_path / "a")
    parts = train(config, run_dir=tmp_path / "b", callback=SignalCallback(72))
    resume(parts.paths.root, overrides=["parallel.mode=sequential"], callback=SignalCallback(136))
    resume(parts.paths.root, overrides=["parallel.mode=ray", "parallel.num_workers=1"], callback=SignalCallback(200))
    parts = resume(parts.paths.root, overrides=["parallel.mode=subproc"])
    assert parts.record.stop_reason == "total_steps"
    assert digest_run(parts.paths.root) == digest_run(whole.paths.root)
    assert "approximate" not in parts.paths.log.read_text()


def test_an_unreachable_head_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    import ray

    ray.shutdown()
    command = ["train", "--algo", "ppo", "--env", "CartPole-v1", "--set", "parallel.mode=ray", "--run-dir"]
    address = f"parallel.params.address=127.0.0.1:{port}"
    result = CliRunner().invoke(cli, [*command, str(tmp_path / "run"), "--num-envs", "2", "--set", address])
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert f"parallel.params.address: no Ray head at 127.0.0.1:{port} (" in line
    assert not (tmp_path / "run").exists()


def test_ray_ends_with_a_killed_training(config: dict[str, Any], tmp_path: Path) -> None:
    config["train"]["total_steps"] = 1_000_000
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config))

    with RunProcess(path, tmp_path / "run") as process:
        assert process.wait_until((tmp_path / "run" / "checkpoints" / "latest").exists)
        started = psutil.Process(process.pid).children(recursive=True)
        assert any("raylet" in part.name() for part in started)
        process.send(signal.SIGKILL)
        # Two agents of Ray itself look for the head for another minute.
        steps = [part for part in started if "Agent" not in part.name()]
        assert len(steps) >= len(started) - 2
        _, left = psutil.wait_procs(steps, timeout=30)
        assert left == []
