"""Configurations that train in about a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

_SMALL = {"net_arch": [16]}
_CHECKPOINTS = [{"type": "checkpoint", "params": {"interval": 1, "keep_last": 2}}]  # after each rollout


@dataclass(frozen=True)
class SmallTask:
    """
    A training of some thousand steps.

    :param name: its name in the report
    :param config: the configuration
    :param module: module that it needs beside the dependencies; ``None`` for none
    :param extra: the extra that brings the module
    """

    name: str
    config: Mapping[str, Any]
    module: str | None = None
    extra: str | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the training."""
        steps: int = self.config["train"]["total_steps"]
        return steps

    def write(self, directory: Path) -> str:
        """
        Write the configuration.

        :param directory: an existing directory
        :return: name of the file
        """
        (directory / "task.yaml").write_text(yaml.safe_dump(dict(self.config), sort_keys=False))
        return "task.yaml"


def make_ppo_task() -> SmallTask:
    """:return: PPO on CartPole, in this process"""
    params = {"n_steps": 64, "batch_size": 64, "n_epochs": 2, "policy_kwargs": _SMALL}
    return SmallTask("PPO on CartPole-v1", _make_config("ppo", "CartPole-v1", params, steps=2048))


def make_worker_task() -> SmallTask:
    """:return: PPO on CartPole with normalised observations, in two worker processes"""
    config = dict(make_ppo_task().config)
    config["env"] = {"id": "CartPole-v1", "normalize": True}
    config["parallel"] = {"mode": "workers", "num_envs": 4, "num_workers": 2}
    return SmallTask("PPO in worker processes", config)


def make_gpu_task() -> SmallTask:
    """:return: PPO on CartPole, with the model on a GPU"""
    task = make_ppo_task()
    config = {**task.config, "agent": {**task.config["agent"], "device": "cuda"}}
    return SmallTask("PPO on a GPU", config)


def make_dqn_task() -> SmallTask:
    """:return: DQN on CartPole, with its replay buffer"""
    params = {
        "learning_starts": 100,
        "train_freq": 16,
        "batch_size": 32,
        "buffer_size": 1000,
        "policy_kwargs": _SMALL,
    }
    return SmallTask("DQN on CartPole-v1", _make_config("dqn", "CartPole-v1", params, steps=2048))


def make_sac_task() -> SmallTask:
    """:return: SAC on Pendulum, with continuous actions"""
    params = {
        "learning_starts": 100,
        "train_freq": 32,
        "gradient_steps": 8,
        "batch_size": 32,
        "buffer_size": 1000,
        "policy_kwargs": _SMALL,
    }
    return SmallTask("SAC on Pendulum-v1", _make_config("sac", "Pendulum-v1", params, steps=1536))


def make_game_task() -> SmallTask:
    """:return: MaskablePPO on a small Connect4, against a pool with snapshots of itself"""
    params = {"n_steps": 32, "batch_size": 64, "n_epochs": 2, "policy_kwargs": _SMALL}
    config = _make_config("maskable_ppo", None, params, steps=2048)
    config["game"] = {"id": "connect4", "params": {"rows": 4, "cols": 4, "in_a_row": 3}}
    config["parallel"] = {"num_envs": 8}
    config["train"]["opponent_sampler"] = {
        "type": "pool",
        "params": {
            "self_play": {"start_episode": 20, "save_every": 20},
            "heuristic_distribution": {"random": 0.5, "heuristic": 0.5},
        },
    }
    return SmallTask("MaskablePPO on Connect4, self-play", config)


def with_engine(task: SmallTask, engine: str, *, module: str | None = None, extra: str | None = None) -> SmallTask:
    """
    :param task: a task
    :param engine: ``agent.engine``
    :param module: module that the engine needs; ``None`` for none
    :param extra: the extra that brings it
    :return: the task with this engine
    """
    config = {**task.config, "agent": {**task.config["agent"], "engine": engine}}
    return replace(task, name=f"{task.name}, engine {engine}", config=config, module=module, extra=extra)


def _make_config(algorithm: str, env_id: str | None, params: dict[str, Any], *, steps: int) -> dict[str, Any]:
    agent = {"id": algorithm, "device": "cpu", "threads": 1, "engine": "stock", "params": params}
    return {
        "seed": 1,
        **({} if env_id is None else {"env": {"id": env_id}, "parallel": {"mode": "sequential", "num_envs": 2}}),
        "agent": agent,
        "train": {"total_steps": steps, "callbacks": _CHECKPOINTS},
        "eval": {"every_steps": 1024, "episodes": 4, "max_steps": 200},
    }
