"""Collect rollouts of PPO, A2C, TRPO and MaskablePPO."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.engines.collecting.advantages import compute_advantages
from sb3_ext.engines.collecting.observation_inputs import Observations
from sb3_ext.engines.collecting.policy_acting import Acting
from sb3_ext.engines.collecting.policy_programs import scale_actions
from sb3_ext.internals.sb3_rollouts import (
    get_last_episode_starts,
    get_last_observations,
    has_method_of,
    set_last_episode_starts,
    set_last_observations,
    update_episode_statistics,
)

_STOCK_BUFFERS = (RolloutBuffer, DictRolloutBuffer, MaskableRolloutBuffer, MaskableDictRolloutBuffer)


class OnPolicyRollouts:
    """
    Replacement of ``collect_rollouts`` of on-policy algorithms, with the same effect on the model but for rounding.

    :param model: a model whose class does not override ``collect_rollouts``
    """

    algorithms = (OnPolicyAlgorithm, MaskablePPO)

    def __init__(self, model: Any) -> None:
        self._model = model
        self._acting = Acting(model)
        self._has_masks = isinstance(model, MaskablePPO)

    def __call__(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
        use_masking: bool = True,
    ) -> bool:
        """
        Fill the rollout buffer.

        :param env: the training environments
        :param callback: called at each step, with the names of local variables that SB3's loop has
        :param rollout_buffer: buffer to fill
        :param n_rollout_steps: number of steps in each environment
        :param use_masking: whether MaskablePPO asks the environments for action masks
        :return: ``False`` if the callback has stopped the rollout
        :raises ValueError: if ``use_masking`` is true for MaskablePPO, and the environments have no masks
        """
        model, num_envs, masks = self._model, env.num_envs, None
        if self._has_masks and use_masking and not is_masking_supported(env):
            raise ValueError("Environment does not support action masking. Consider using ActionMasker wrapper")
        self._acting.begin_rollout()
        rollout_buffer.reset()
        if model.use_sde:
            model.policy.reset_noise(num_envs)
        callback.on_rollout_start()
        self._acting.prepare(get_last_observations(model))
        is_stock_buffer = has_method_of(rollout_buffer, _STOCK_BUFFERS, "add")
        n_steps = 0
        variables = {
            "self": model,
            "env": env,
            "callback": callback,
            "rollout_buffer": rollout_buffer,
            "n_rollout_steps": n_rollout_steps,
            **({"use_masking": use_masking} if self._has_masks else {}),
        }
        while n_steps < n_rollout_steps:
            if model.use_sde and model.sde_sample_freq > 0 and n_steps % model.sde_sample_freq == 0:
                model.policy.reset_noise(num_envs)
            observations = get_last_observations(model)
            if self._has_masks:
                masks = variables["action_masks"] = get_action_masks(env) if use_masking else None
            actions, values, log_probs = self._acting.act(observations, masks)
            clipped_actions = scale_actions(model.policy, actions)
            if not self._has_masks:
                variables["clipped_actions"] = clipped_actions
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            model.num_timesteps += num_envs
            variables.update(
                n_steps=n_steps,
                obs_tensor=self._acting.to_tensors(observations),
                actions=actions,
                values=torch.from_numpy(values),
                log_probs=torch.from_numpy(log_probs),
                new_obs=new_obs,
                rewards=rewards,
                dones=dones,
                infos=infos,
            )
            callback.update_locals(variables)
            if not callback.on_step():
                return False
            update_episode_statistics(model, infos, dones)
            n_steps += 1
            if isinstance(model.action_space, spaces.Discrete):
                actions = actions.reshape(-1, 1)
            if True in dones.tolist():
                self._add_terminal_values(rewards, dones, infos)
            row = (get_last_observations(model), actions, rewards, get_last_episode_starts(model))
            if is_stock_buffer:
                _add(rollout_buffer, *row, values, log_probs, masks)
            else:
                keywords: dict[str, Any] = {"action_masks": masks} if self._has_masks else {}
                rollout_buffer.add(*row, torch.from_numpy(values), torch.from_numpy(log_probs), **keywords)
            set_last_observations(model, new_obs)
            set_last_episode_starts(model, dones)
        last_values = self._acting.compute_values(new_obs)
        compute_advantages(rollout_buffer, last_values, dones)
        if not self._has_masks:
            variables.update(n_steps=n_steps, actions=actions, values=torch.from_numpy(last_values))
            callback.update_locals(variables)
        callback.on_rollout_end()
        return True

    def _add_terminal_values(
        self, rewards: NDArray[Any], dones: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> None:
        """Add the value of the last observation to the reward where an episode was truncated, see SB3's issue 633."""
        for index in np.flatnonzero(dones).tolist():
            info = infos[index]
            if info.get("TimeLimit.truncated", False) and info.get("terminal_observation") is not None:
                value = self._acting.compute_single_value(info["terminal_observation"])
                rewards[index] += (self._model.gamma * value)[0, 0]


def _add(
    buffer: Any,
    observations: Observations,
    actions: NDArray[Any],
    rewards: NDArray[Any],
    starts: NDArray[np.bool_],
    values: NDArray[np.float32],
    log_probs: NDArray[np.float32],
    masks: NDArray[Any] | None,
) -> None:
    """Do what ``add`` of SB3's rollout buffers does, without copies of copies."""
    place = buffer.pos
    if isinstance(observations, dict):
        for key, stored in buffer.observations.items():
            stored[place] = observations[key].reshape(stored.shape[1:])
    else:
        buffer.observations[place] = observations.reshape(buffer.observations.shape[1:])
    buffer.actions[place] = actions.reshape(buffer.actions.shape[1:])
    buffer.rewards[place] = rewards
    buffer.episode_starts[place] = starts
    buffer.values[place] = values[:, 0]
    buffer.log_probs[place] = log_probs
    if masks is not None:
        buffer.action_masks[place] = masks.reshape(buffer.action_masks.shape[1:])
    buffer.pos = place + 1
    buffer.full = buffer.full or buffer.pos == buffer.buffer_size
