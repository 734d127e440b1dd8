"""Untrained agents of each kind that web pages can compute, with the environments that they play in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sb3_contrib import QRDQN, TQC, MaskablePPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.exporting.observation_source import PlayingAgent
from sb3_ext.exporting.page_registry import find_page_environment
from sb3_ext.exporting.web_page import describe_page_agent, make_page
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent

SMALL: dict[str, Any] = {"n_steps": 8, "batch_size": 8}
BUFFER: dict[str, Any] = {"buffer_size": 64}


def make_board(game_id: str, *, shows_masks: bool = False) -> VecEnv:
    game = make_game(game_id, num_boards=4)
    return SelfPlayVecEnv(
        game, make_opponent("random", seed=1), masks_in_observation=shows_masks, illegal_move="random_legal"
    )


def make_normalized(env_id: str, frames: int) -> VecEnv:
    env = VecNormalize(VecFrameStack(make_vec_env(env_id, 4, seed=1), frames), clip_obs=3.0)
    env.reset()
    for _ in range(20):
        env.step([env.action_space.sample() for _ in range(4)])
    env.training = False
    return env


TIC_TAC_TOE = "pettingzoo.classic.tictactoe_v3"
AGENTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "maskable ppo, convolutions": (
        "connect4",
        lambda: MaskablePPO(
            "MlpPolicy",
            make_board("connect4"),
            **SMALL,
            policy_kwargs={
                "net_arch": [16],
                "activation_fn": nn.ReLU,
                "features_extractor_class": BoardCNN,
                "features_extractor_kwargs": {"channels": [4, 3], "kernel_size": 3, "features_dim": 16},
            },
        ),
    ),
    "dqn with masks": (
        "connect4",
        lambda: MaskedDQN(
            "MultiInputPolicy", make_board("connect4", shows_masks=True), **BUFFER, policy_kwargs={"net_arch": [16]}
        ),
    ),
    "qrdqn with masks, convolutions": (
        "connect4",
        lambda: MaskedQRDQN(
            "MultiInputPolicy",
            make_board("connect4", shows_masks=True),
            **BUFFER,
            policy_kwargs={"net_arch": [16], "features_extractor_class": BoardCNN, "n_quantiles": 5},
        ),
    ),
    "ppo, tic-tac-toe": (
        TIC_TAC_TOE,
        lambda: PPO("MlpPolicy", make_board(TIC_TAC_TOE), **SMALL, policy_kwargs={"net_arch": [16]}),
    ),
    "ppo, frame stack, statistics": (
        "CartPole-v1",
        lambda: PPO(
            "MlpPolicy",
            make_normalized("CartPole-v1", 2),
            **SMALL,
            policy_kwargs={"net_arch": [8], "activation_fn": nn.ELU, "share_features_extractor": False},
        ),
    ),
    "sac": (
        "Pendulum-v1",
        lambda: SAC("MlpPolicy", make_vec_env("Pendulum-v1", 4), **BUFFER, policy_kwargs={"net_arch": [8]}),
    ),
    "td3": (
        "MountainCarContinuous-v0",
        lambda: TD3(
            "MlpPolicy",
            make_vec_env("MountainCarContinuous-v0", 4),
            **BUFFER,
            policy_kwargs={"net_arch": [8], "activation_fn": nn.LeakyReLU},
        ),
    ),
    "tqc": (
        "Pendulum-v1",
        lambda: TQC(
            "MlpPolicy",
            make_vec_env("Pendulum-v1", 4),
            **BUFFER,
            policy_kwargs={"net_arch": [8], "activation_fn": nn.Sigmoid},
        ),
    ),
    "ppo, continuous": (
        "MountainCarContinuous-v0",
        lambda: PPO(
            "MlpPolicy", make_normalized("MountainCarContinuous-v0", 1), **SMALL, policy_kwargs={"net_arch": [8]}
        ),
    ),
    "dqn": (
        "MountainCar-v0",
        lambda: DQN(
            "MlpPolicy",
            make_vec_env("MountainCar-v0", 4),
            **BUFFER,
            policy_kwargs={"net_arch": [8], "activation_fn": nn.SiLU},
        ),
    ),
    "qrdqn": (
        "Acrobot-v1",
        lambda: QRDQN(
            "MlpPolicy",
            make_vec_env("Acrobot-v1", 4),
            **BUFFER,
            policy_kwargs={"net_arch": [8], "n_quantiles": 5},
        ),
    ),
}


@functools.cache  # the page of an agent and its predictions need the same weights
def make_page_agent(name: str) -> PlayingAgent:
    """
    :param name: of :data:`AGENTS`
    :return: an agent with random weights
    """
    return randomize_agent(AGENTS[name][1]())


def randomize_agent(model: Any) -> PlayingAgent:
    """
    :param model: an untrained model
    :return: an agent with random weights, whose actions differ from observation to observation
    """
    torch.manual_seed(1)
    agent = PlayingAgent(model, model.get_env())
    for _ in range(20):
        with torch.no_grad():
            for weights in model.policy.parameters():
                if weights.dim() > 1:  # outputs of about the same size from few and from many inputs
                    weights += 1.5 * torch.randn_like(weights) / weights[0].numel() ** 0.5
        actions = np.concatenate([batch.actions for batch in agent.predict(40)])
        if len(np.unique(actions, axis=0)) > 1:
            return agent
    raise AssertionError("the agent always does the same")


def make_agent_page(name: str) -> str:
    """
    :param name: of :data:`AGENTS`
    :return: HTML of the page of :func:`make_page_agent`
    """
    task_id = AGENTS[name][0]
    environment = find_page_environment(task_id)
    description = describe_page_agent(make_page_agent(name), task_id, environment.constants)
    return make_page(environment, description, name)
