from __future__ import annotations

import logging
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

import sb3_ext
from sb3_ext.building import memory
from sb3_ext.building.memory import explaining_memory_errors, measure_environment, validate_memory
from sb3_ext.building.memory_estimate import EnvironmentSize, estimate_memory
from sb3_ext.building.model import make_model
from sb3_ext.config import RunConfig, load_config
from sb3_ext.errors import ConfigError
from sb3_ext.problems import describe_bytes
from sb3_ext.runs.memory_limits import MemoryLimit
from sb3_ext.vec.environment_factory import EnvironmentFactory

SetFree = Callable[..., None]


@pytest.fixture
def set_memory(monkeypatch: pytest.MonkeyPatch) -> SetFree:
    """Set the free memory in bytes."""

    def set_limit(total: float, free: float | None = None, *, has_children: bool = True) -> None:
        limit = MemoryLimit("this machine", int(total), int(total if free is None else free), has_children)
        monkeypatch.setattr(memory, "list_memory_limits", lambda: [limit])

    return set_limit


def make_config(algorithm: str = "ppo", env: str | dict[str, Any] = "CartPole-v1", **sections: Any) -> RunConfig:
    params = sections.pop("params", {})
    return load_config(
        {"env": {"id": env} if isinstance(env, str) else env, "agent": {"id": algorithm, "params": params}, **sections}
    )


SELF_PLAY = {
    "env": None,
    "game": {"id": "connect4"},
    "agent": {"id": "dqn"},
    "train": {"opponent_sampler": {"type": "random"}},
}


@pytest.mark.parametrize(
    ("data", "key", "figure"),
    [
        ({"parallel": {"num_envs": 99_999_999}}, "parallel.num_envs", "99,999,999 environments"),
        ({"parallel": {"num_envs": 10**6, "mode": "subproc"}}, "parallel.num_envs", "1,000,000 processes"),
        ({"parallel": {"num_workers": 10**6, "num_envs_per_worker": 1}}, "parallel.num_workers", "1,000,000 processes"),
        ({"eval": {"num_envs": 10**8}}, "eval.num_envs", "100,000,000 environments of evaluations"),
        ({"env": {"id": "CartPole-v1", "frame_stack": 10**9}}, "env.frame_stack", "14.9 GiB"),
        ({"agent": {"id": "ppo", "params": {"n_steps": 10**10}}}, "agent.params.n_steps", "10,000,000,000 × 1 steps"),
        ({"agent": {"id": "dqn", "params": {"buffer_size": 10**12}}}, "agent.params.buffer_size", "47.3 TiB"),
        (
            {"agent": {"id": "dqn", "params": {"batch_size": 10**11}}},
            "agent.params.batch_size",
            "a minibatch of 100,000",
        ),
        ({"agent": {"id": "ars", "params": {"n_delta": 10**10}}}, "agent.params.n_delta", "10,000,000,000 candidates"),
        (
            {"agent": {"id": "a2c", "params": {"policy_kwargs": {"net_arch": [10**6, 10**6]}}}},
            "agent.params.policy_kwargs",
            "networks of 1,000,006,000,000 weights",
        ),
        ({**SELF_PLAY, "parallel": {"num_envs": 10**9}}, "parallel.num_envs", "1,000,000,000 boards"),
    ],
)
def test_a_training_that_does_not_fit_is_refused_before_anything_is_made(
    data: dict[str, Any], key: str, figure: str, set_memory: SetFree, tmp_path: Path
) -> None:
    set_memory(2**34, 2**33)
    config = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}, **data}
    with pytest.raises(ConfigError) as caught:
        sb3_ext.train(config, run_dir=tmp_path / "run")
    [line] = caught.value.problems
    assert line.startswith(f"{key}: this training needs about ")
    assert figure in line
    assert line.endswith(f"but this machine has 16.0 GiB, 8.0 GiB of it free; lower {key}")
    assert not (tmp_path / "run").exists()


def test_a_resume_on_a_smaller_machine_leaves_the_run_as_it_was(set_memory: SetFree, tmp_path: Path) -> None:
    config = {
        "env": {"id": "CartPole-v1"},
        "agent": {"id": "a2c", "threads": 1},
        "train": {"total_steps": 5, "callbacks": [{"type": "checkpoint", "params": {"self_test": False}}]},
        "eval": {"every_steps": None, "episodes": 1},
    }
    before = sb3_ext.train(config, run_dir=tmp_path / "run").record
    set_memory(1000)
    with pytest.raises(ConfigError, match="this machine has 1,000 bytes"):
        sb3_ext.resume(tmp_path / "run", overrides=["train.total_steps=10"])
    assert sb3_ext.load_run(tmp_path / "run").record == before


def test_buffers_may_fill_later_but_environments_must_fit_now(
    set_memory: SetFree, caplog: pytest.LogCaptureFixture
) -> None:
    set_memory(2**34, 2**20)
    with caplog.at_level(logging.WARNING):
        validate_memory(make_config("dqn"))  # 46 MiB
    assert "agent.params.buffer_size: this training needs about" in caplog.text
    with pytest.raises(ConfigError, match=r"parallel\.num_envs"):
        validate_memory(make_config("a2c", parallel={"num_envs": 1000, "mode": "sequential"}))


def test_address_space_is_counted_at_once_and_for_each_process(set_memory: SetFree) -> None:
    set_memory(2**40, 2**24, has_children=False)
    with pytest.raises(ConfigError, match=r"agent\.params\.buffer_size"):
        validate_memory(make_config("dqn"))
    validate_memory(make_config("a2c", parallel={"num_envs": 1000, "mode": "subproc"}))


def test_the_tightest_of_several_limits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [
        MemoryLimit("this machine", 24 * 2**30, 21 * 2**30),
        MemoryLimit("this process (ulimit -v)", 8 * 2**30, 5 * 2**30, has_children=False),
    ]
    monkeypatch.setattr(memory, "list_memory_limits", lambda: limits)
    with pytest.raises(ConfigError, match=r"but this process \(ulimit -v\) has 8\.0 GiB, 5\.0 GiB of it free"):
        validate_memory(make_config(parallel={"num_envs": 99_999_999}))


def test_trainings_at_the_same_time_add_up(set_memory: SetFree) -> None:
    set_memory(2**26)
    validate_memory(make_config("dqn"))
    with pytest.raises(ConfigError, match=r"tune\.jobs: 4 times that"):
        validate_memory(make_config("dqn"), copies=4)


def test_small_numbers_make_no_environment(monkeypatch: pytest.MonkeyPatch, set_memory: SetFree) -> None:
    set_memory(2**34)
    monkeypatch.setattr(memory, "measure_environment", lambda config: pytest.fail("an environment was made"))
    validate_memory(make_config())
    validate_memory(make_config("dqn"))


def test_an_environment_that_fails_is_left_to_the_training(set_memory: SetFree) -> None:
    set_memory(1)
    config = make_config(env="CartPole-v1")
    assert config.env is not None
    broken = config.env.model_copy(update={"params": {"no_such_parameter": 1}})
    validate_memory(config.model_copy(update={"env": broken}))


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ppo": ("ppo", "CartPole-v1", {"n_steps": 64}),
    "ppo on images": ("ppo", "image", {"n_steps": 16, "batch_size": 16}),
    "recurrent_ppo": ("recurrent_ppo", "CartPole-v1", {"n_steps": 64}),
    "dqn": ("dqn", "CartPole-v1", {"buffer_size": 5000}),
    "dqn on images": ("dqn", "image", {"buffer_size": 50}),
    "dqn, optimised": (
        "dqn",
        "CartPole-v1",
        {
            "buffer_size": 5000,
            "optimize_memory_usage": True,
            "replay_buffer_kwargs": {"handle_timeout_termination": False},
        },
    ),
    "dqn on a Dict": ("dqn", "dict", {"buffer_size": 500}),
    "sac": ("sac", "Pendulum-v1", {"buffer_size": 5000}),
}
SPACES = {
    "image": spaces.Box(0, 255, (36, 36, 3), np.uint8),
    "dict": spaces.Dict(a=spaces.Box(0, 1, (7,)), b=spaces.Discrete(3)),
}


@pytest.mark.parametrize("case", CASES)
def test_buffers_are_about_as_large_as_estimated(case: str) -> None:
    algorithm, env_id, params = CASES[case]
    env_params = {"observation_space": SPACES[env_id]} if env_id in SPACES else {}
    name = "sb3_ext/Mock-v0" if env_params else env_id
    config = make_config(algorithm, "CartPole-v1" if env_params else env_id, params=params, parallel={"num_envs": 2})
    env = DummyVecEnv([EnvironmentFactory(name, env_params)] * 2)
    model: Any = make_model(config, env)
    buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
    if hasattr(buffer, "reset"):
        buffer.reset()
    found = sum(map(count_bytes, vars(buffer).values()))
    parts = estimate_memory(config, EnvironmentSize(env.observation_space, env.action_space, 0))
    [part] = [part for part in parts if part.name.startswith(("a replay buffer", "a rollout"))]
    assert 0.9 * found <= part.size_bytes <= 2.1 * found


def count_bytes(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(count_bytes, value.values()))
    return value.nbytes if isinstance(value, np.ndarray) else 0


class Large(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Holds four megabytes."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        # Not an array: the process may already have had its memory.
        self._block = mmap.mmap(-1, 2**22)
        self._block.write(bytes(2**22))


def test_the_memory_of_an_environment_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "large_environment", SimpleNamespace(Large=Large))
    size = measure_environment(make_config(env={"id": "CartPole-v1", "wrappers": ["large_environment.Large"]}))
    assert size is not None
    assert 0.7 * 2**22 < size.size_bytes < 2 * 2**22
    size = measure_environment(make_config())
    assert size is not None
    assert size.size_bytes < 0.7 * 2**22


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 14.6 TiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried 4 TB"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_a_failed_allocation_is_an_error_of_the_configuration(error: Exception) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"not enough memory for this training: .*; lower agent\.params\.buffer_size, "
        ),
        explaining_memory_errors(make_config("dqn")),
    ):
        raise error


def test_other_errors_are_not_translated() -> None:
    with pytest.raises(RuntimeError, match="something else"), explaining_memory_errors(make_config()):
        raise RuntimeError("something else")


def test_sizes_are_written_in_binary_units() -> None:
    sizes = [0, 1023, 1024, 14.6 * 2**40, 2**62]
    assert [describe_bytes(size) for size in sizes] == ["0 bytes", "1,023 bytes", "1.0 KiB", "14.6 TiB", "4,096.0 PiB"]
