"""What the ranks of a test do: functions for :func:`rank_processes.run_ranks`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import set_random_seed

from joint_training import N_STEPS, NUM_ENVS, UPDATES, make_rank_env, make_rank_model
from sb3_ext.callbacks import (
    CurriculumCallback,
    DataParallelCallback,
    EvaluationCallback,
    MetricsCallback,
    SharedStopCallback,
)
from sb3_ext.engines.attachment import attaching
from sb3_ext.engines.engine_choice import choose_rank_engine
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.ranks.shared_parameters import list_parameters

STEPS = UPDATES * N_STEPS * NUM_ENVS * 2


def learn_on_this_rank(engine_id: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    with RankGroup.join() as group:
        env = make_rank_env(group.rank)
        model = make_rank_model(PPO, env)
        choice = choose_rank_engine(engine_id, model, group)
        metrics, parallel = MetricsCallback(), DataParallelCallback(group, check_every_updates=1)
        set_random_seed(100 + group.rank)
        with attaching(model, choice.engine.id, choice.update):
            model.learn(STEPS, callback=[parallel, metrics, SharedStopCallback(group)], log_interval=None)
        return {
            "weights": [tensor.numpy() for tensor in model.policy.state_dict().values()],
            "statistics": [env.obs_rms.mean, env.obs_rms.var, env.ret_rms.mean, env.ret_rms.var],
            "count": env.obs_rms.count,
            "step": model.num_timesteps,
            "updates": model._n_updates,
            "checks": parallel.checks,
            "episodes": {name: list(metrics.history._episodes[name]) for name in ("step", "return", "length")},
            "logged": dict(model.logger.name_to_value),
        }


def learn_in_stages(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """:return: the stages of this rank, and the force of its CartPoles; only rank 0 evaluates"""
    torch.set_num_threads(1)
    with RankGroup.join() as group:
        env = make_vec_env("CartPole-v1", 2, seed=2 * group.rank)
        evaluations = [EvaluationCallback(lambda: make_vec_env("CartPole-v1", 1), every_steps=64, episodes=1)]
        if not group.is_leader:
            evaluations = []
        curriculum = CurriculumCallback(stages, evaluations=evaluations[0] if evaluations else None, group=group)
        model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, policy_kwargs={"net_arch": [4]})
        callbacks = [DataParallelCallback(group), *evaluations, curriculum, SharedStopCallback(group)]
        model.learn(320, callback=callbacks)
        return {"changes": curriculum.changes, "force": [layer.unwrapped.force_mag for layer in env.envs]}


OFF_POLICY: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "dqn": (DQN, "CartPole-v1", {}),
    "qrdqn": (QRDQN, "CartPole-v1", {}),
    "sac": (SAC, "Pendulum-v1", {}),
    "td3": (TD3, "Pendulum-v1", {"target_policy_noise": 0.0}),
}
"""Class, environment and settings; TD3 without noise, which the ranks and one process would draw differently."""
GRADIENT_STEPS, ROWS = 8, 16


def make_off_policy_model(algorithm: str) -> Any:
    """:return: a model whose weights are those of every rank"""
    kind, env_id, settings = OFF_POLICY[algorithm]
    env = make_vec_env(env_id, NUM_ENVS)
    network = {"net_arch": [16]}
    model = kind("MlpPolicy", env, seed=0, device="cpu", buffer_size=500, policy_kwargs=network, **settings)
    model.set_logger(Logger(None, []))
    return model


def fill_buffer(model: Any, rank: int) -> Any:
    """Add the experience of a rank to the replay buffer of a model."""
    dice = np.random.default_rng(rank)
    buffer = model.replay_buffer
    for _row in range(50):
        observations = [dice.normal(size=(NUM_ENVS, *model.observation_space.shape)) for _part in range(2)]
        actions = (
            dice.uniform(-1, 1, (NUM_ENVS, *model.action_space.shape))
            if isinstance(model.action_space, spaces.Box)
            else dice.integers(0, 2, (NUM_ENVS, 1))
        )
        buffer.add(*observations, actions, dice.normal(size=NUM_ENVS), dice.random(NUM_ENVS) < 0.1, [{}] * NUM_ENVS)
    return buffer


def update_on_this_rank(algorithm: str, engine_id: str) -> list[Any]:
    """:return: the weights after some gradient steps on the experience of this rank"""
    torch.set_num_threads(1)
    with RankGroup.join() as group:
        model = make_off_policy_model(algorithm)
        fill_buffer(model, group.rank)
        choice = choose_rank_engine(engine_id, model, group)
        set_random_seed(100 + group.rank)
        with attaching(model, choice.engine.id, choice.update):
            model.train(gradient_steps=GRADIENT_STEPS, batch_size=ROWS)
        return [tensor.numpy() for tensor in list_parameters(model)]


ON_POLICY: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "a2c": (A2C, "MlpPolicy", {"n_steps": 16}),
    "recurrent_ppo": (RecurrentPPO, "MlpLstmPolicy", {"n_steps": 16, "batch_size": 16, "n_epochs": 2}),
    "maskable_ppo": (MaskablePPO, "MlpPolicy", {"n_steps": 16, "batch_size": 16, "n_epochs": 2}),
}


def learn_from_the_same_data(algorithm: str) -> list[Any]:
    """:return: the weights after some updates, on every rank from the same environments and random numbers"""
    torch.set_num_threads(1)
    kind, policy, settings = ON_POLICY[algorithm]
    settings = {"normalize_advantage": False, **settings}
    with RankGroup.join() as group:
        env = make_vec_env(MaskedCartPole if kind is MaskablePPO else "CartPole-v1", NUM_ENVS, seed=3)
        model = kind(policy, env, seed=3, device="cpu", policy_kwargs={"net_arch": [16]}, **settings)
        choice = choose_rank_engine("torch", model, group)
        with attaching(model, choice.engine.id, choice.update) if group.size > 1 else nullcontext():
            model.learn(5 * 16 * NUM_ENVS * group.size, callback=[DataParallelCallback(group)])
        return [tensor.numpy() for tensor in list_parameters(model)]


class MaskedCartPole(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole with action masks that allow everything."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))

    def action_masks(self) -> Any:
        return np.ones(2, bool)
