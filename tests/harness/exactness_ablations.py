"""
Proof that the matrix can fail: each of these undoes one part of a restore, in a case that has to come out differently.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecFrameStack, unwrap_vec_wrapper

from exactness_cases import Case

CARTPOLE = Case("PPO", "CartPole-v1")
DQN = Case("DQN", "CartPole-v1", loaded=True)
GSDE = Case("PPO", "Pendulum-v1", gsde=True, normalize=True)
STACKED = Case("A2C", "CartPole-v1", normalize=True, frame_stack=3)
RECURRENT = Case("RecurrentPPO", "CartPole-v1", loaded=True)
WORKERS = Case("PPO", "exactness/Unruly-v0", mode="subproc", normalize=True)
OFF_POLICY = Case("DQN", "exactness/Unruly-v0", mode="subproc", normalize=True)
NOISY = Case("TD3", "Pendulum-v1", noise="ornstein_uhlenbeck")


def change_last_observation(model: Any) -> None:
    model._last_obs = np.zeros_like(model._last_obs)


def change_last_original_observation(model: Any) -> None:
    model._last_original_obs = np.zeros_like(model._last_original_obs)


def change_episode_starts(model: Any) -> None:
    model._last_episode_starts = ~model._last_episode_starts


def change_python_generator(model: Any) -> None:
    random.seed(0)


def change_numpy_generator(model: Any) -> None:
    np.random.seed(0)


def change_torch_generator(model: Any) -> None:
    torch.manual_seed(0)


def change_action_space_generator(model: Any) -> None:
    model.action_space.seed(0)


def change_worker_generators(model: Any) -> None:
    model.env.env_method("seed_global_generators", 0)


def reset_environments(model: Any) -> None:
    model.env.reset()


def change_environment_generator(model: Any) -> None:
    model.env.envs[0].unwrapped.np_random = np.random.default_rng(0)


def shorten_episode_of_monitor(model: Any) -> None:
    model.env.envs[0].rewards = []


def empty_frame_stack(model: Any) -> None:
    unwrap_vec_wrapper(model.env, VecFrameStack).stacked_obs.stacked_obs[:] = 0


def zero_normalized_returns(model: Any) -> None:
    model.get_vec_normalize_env().returns[:] = 0


def change_normalization(model: Any) -> None:
    model.get_vec_normalize_env().obs_rms.count += 1


def zero_gsde_matrices(model: Any) -> None:
    model.policy.action_dist.exploration_matrices.zero_()


def forget_recurrent_states(model: Any) -> None:
    for states in model._last_lstm_states:
        for tensor in states:
            tensor.zero_()


def reset_action_noise(model: Any) -> None:
    model.action_noise.reset()


def zero_update_counter(model: Any) -> None:
    model._n_updates = 0


def zero_call_counter(model: Any) -> None:
    model._n_calls = 0


def zero_episode_counter(model: Any) -> None:
    model._episode_num = 0


def change_exploration_rate(model: Any) -> None:
    model.exploration_rate = 1.0


def lengthen_schedules(model: Any) -> None:
    model._total_timesteps += model.num_timesteps


def change_entropy_coefficient(model: Any) -> None:
    model.log_ent_coef.data.zero_()


def forget_optimizer(model: Any) -> None:
    model.policy.optimizer.state.clear()


def move_replay_position(model: Any) -> None:
    model.replay_buffer.pos -= 1


def empty_episode_buffer(model: Any) -> None:
    model.ep_info_buffer.clear()


def forget_logged_values(model: Any) -> None:
    model.logger.name_to_value.clear()
    model.logger.name_to_excluded.clear()


ABLATIONS: dict[str, tuple[Case, Callable[[Any], None]]] = {
    function.__name__: (case, function)
    for case, functions in (
        (
            CARTPOLE,
            (
                change_last_observation,
                change_numpy_generator,
                change_torch_generator,
                reset_environments,
                change_environment_generator,
                shorten_episode_of_monitor,
                zero_update_counter,
                forget_optimizer,
                empty_episode_buffer,
                forget_logged_values,
            ),
        ),
        (
            DQN,
            (
                change_action_space_generator,
                zero_call_counter,
                zero_episode_counter,
                change_exploration_rate,
                lengthen_schedules,
                move_replay_position,
            ),
        ),
        (STACKED, (empty_frame_stack, zero_normalized_returns, change_normalization)),
        (GSDE, (zero_gsde_matrices,)),
        (RECURRENT, (forget_recurrent_states, change_episode_starts)),
        (WORKERS, (change_worker_generators, change_python_generator)),
        (OFF_POLICY, (change_last_original_observation,)),
        (NOISY, (reset_action_noise,)),
        (Case("SAC", "Pendulum-v1", normalize=True), (change_entropy_coefficient,)),
    )
    for function in functions
}
