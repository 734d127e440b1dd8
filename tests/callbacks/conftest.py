"""Tiny models of every algorithm, on an environment of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sb3_contrib
import sb3_ext_envs  # noqa: F401 (registers)
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

_ON_POLICY = {"n_steps": 16}
_PPO = {**_ON_POLICY, "batch_size": 16, "n_epochs": 2}
_OFF_POLICY = {"buffer_size": 500, "learning_starts": 20, "batch_size": 8, "train_freq": 4}
_PARAMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ppo": (stable_baselines3.PPO, _PPO),
    "a2c": (stable_baselines3.A2C, {}),
    "dqn": (stable_baselines3.DQN, _OFF_POLICY),
    "sac": (stable_baselines3.SAC, _OFF_POLICY),
    "td3": (stable_baselines3.TD3, _OFF_POLICY),
    "ddpg": (stable_baselines3.DDPG, _OFF_POLICY),
    "maskable_ppo": (sb3_contrib.MaskablePPO, _PPO),
    "recurrent_ppo": (sb3_contrib.RecurrentPPO, {**_PPO, "policy_kwargs": {"lstm_hidden_size": 8, "net_arch": [8]}}),
    "qrdqn": (sb3_contrib.QRDQN, _OFF_POLICY),
    "tqc": (sb3_contrib.TQC, _OFF_POLICY),
    "trpo": (sb3_contrib.TRPO, {**_ON_POLICY, "batch_size": 16}),
    "ars": (sb3_contrib.ARS, {"n_delta": 2}),
    "crossq": (sb3_contrib.CrossQ, _OFF_POLICY),
}
_CONTINUOUS = {"sac", "td3", "ddpg", "tqc", "crossq"}

MakeModel = Callable[..., BaseAlgorithm]


@pytest.fixture(params=_PARAMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    """Every algorithm's name in turn."""
    return str(request.param)


@pytest.fixture
def make_model() -> MakeModel:
    """
    Build a tiny seeded model by an algorithm's name: ``make_model("ppo", num_envs=2, gamma=0.9)``.

    Episodes last ``episode_steps`` (shortest and longest) steps.
    """
    torch.set_num_threads(1)

    def make(name: str, num_envs: int = 1, episode_steps: tuple[int, int] = (5, 5), **params: Any) -> BaseAlgorithm:
        algorithm, defaults = _PARAMS[name]
        env_params = {
            "action_space": spaces.Box(-1.0, 1.0, (1,)) if name in _CONTINUOUS else spaces.Discrete(2),
            "shortest_episode_steps": episode_steps[0],
            "longest_episode_steps": episode_steps[1],
            "has_action_masks": name == "maskable_ppo",
        }
        env = make_vec_env("sb3_ext/Mock-v0", n_envs=num_envs, seed=0, env_kwargs=env_params)
        policy = "MlpLstmPolicy" if name == "recurrent_ppo" else "MlpPolicy"
        arguments = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu", **defaults, **params}
        # SB3 writes into the policy_kwargs that it is given.
        arguments["policy_kwargs"] = dict(arguments["policy_kwargs"])
        model: BaseAlgorithm = algorithm(policy, env, **arguments)
        return model

    return make
