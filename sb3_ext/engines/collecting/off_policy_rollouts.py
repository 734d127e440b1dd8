"""Collect rollouts of DQN, QR-DQN, SAC, TD3, DDPG, TQC and other off-policy algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import RolloutReturn, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.masked_dqn import MASK, MaskedDQN, MaskedQRDQN, draw_legal
from sb3_ext.engines.collecting.predictor import Predictor
from sb3_ext.engines.collecting.target_updates import TargetUpdates
from sb3_ext.internals.sb3_rollouts import (
    FINISH_STEP,
    SAMPLE_ACTION,
    STORE_TRANSITION,
    count_episode,
    finish_step,
    get_last_observations,
    get_last_original_observations,
    get_normalizer,
    has_method_of,
    sample_actions,
    set_last_observations,
    set_last_original_observations,
    store_transition,
    update_episode_statistics,
    update_progress,
)


class OffPolicyRollouts:
    """
    Replacement of ``collect_rollouts`` of off-policy algorithms, with the same effect on the model but for rounding.

    :param model: a model whose class does not override ``collect_rollouts``
    """

    algorithms = (OffPolicyAlgorithm,)

    def __init__(self, model: Any) -> None:
        self._model = model
        self._predictor = Predictor(model)
        self._samples_as_stock = has_method_of(model, [OffPolicyAlgorithm], SAMPLE_ACTION)
        self._samples_legal_moves = has_method_of(model, [MaskedDQN, MaskedQRDQN], SAMPLE_ACTION, "predict")
        self._stores_as_stock = has_method_of(model, [OffPolicyAlgorithm], STORE_TRANSITION)
        self._target_updates = TargetUpdates(model) if has_method_of(model, [DQN, QRDQN], FINISH_STEP) else None

    def __call__(
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: ReplayBuffer,
        action_noise: ActionNoise | None = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """
        Add transitions to the replay buffer.

        :param env: the training environments
        :param callback: called at each step, with the names of local variables that SB3's loop has
        :param train_freq: number of steps or episodes to collect
        :param replay_buffer: buffer to add to
        :param action_noise: noise that is added to the actions
        :param learning_starts: step before which actions are random
        :param log_interval: number of episodes between two dumps of the logger; ``None`` for no dumps
        :return: number of steps and episodes, and whether training continues
        """
        model, num_envs = self._model, env.num_envs
        assert isinstance(env, VecEnv), "You must pass a VecEnv"
        assert train_freq.frequency > 0, "Should at least collect one step or episode."
        counts_steps = train_freq.unit == TrainFrequencyUnit.STEP
        if num_envs > 1:
            assert counts_steps, "You must use only one env when doing episodic training."
        steps = episodes = 0
        if model.use_sde:
            model.actor.reset_noise(num_envs)
        callback.on_rollout_start()
        adds_directly = self._stores_as_stock and has_method_of(replay_buffer, [ReplayBuffer, DictReplayBuffer], "add")
        variables: dict[str, Any] = {
            "self": model,
            "env": env,
            "callback": callback,
            "train_freq": train_freq,
            "replay_buffer": replay_buffer,
            "action_noise": action_noise,
            "learning_starts": learning_starts,
            "log_interval": log_interval,
            "continue_training": True,
        }
        while (steps if counts_steps else episodes) < train_freq.frequency:
            if model.use_sde and model.sde_sample_freq > 0 and steps % model.sde_sample_freq == 0:
                model.actor.reset_noise(num_envs)
            actions, buffer_actions = self._sample_actions(learning_starts, action_noise, num_envs)
            new_obs, rewards, dones, infos = env.step(actions)
            model.num_timesteps += num_envs
            steps += 1
            variables.update(
                num_collected_steps=steps,
                num_collected_episodes=episodes,
                actions=actions,
                buffer_actions=buffer_actions,
                new_obs=new_obs,
                rewards=rewards,
                dones=dones,
                infos=infos,
            )
            callback.update_locals(variables)
            if not callback.on_step():
                return RolloutReturn(steps * num_envs, episodes, continue_training=False)
            update_episode_statistics(model, infos, dones)
            if adds_directly:
                self._add(replay_buffer, buffer_actions, new_obs, rewards, dones, infos)
            else:
                store_transition(model, replay_buffer, buffer_actions, new_obs, rewards, dones, infos)
            update_progress(model)
            if self._target_updates is None:
                finish_step(model)
            else:
                self._target_updates.finish_step()
            if True in dones.tolist():
                for index in np.flatnonzero(dones).tolist():
                    episodes += 1
                    total_episodes = count_episode(model)
                    if action_noise is not None:
                        action_noise.reset(**({"indices": [index]} if num_envs > 1 else {}))
                    if log_interval is not None and total_episodes % log_interval == 0:
                        model.dump_logs()
        callback.on_rollout_end()
        return RolloutReturn(steps * num_envs, episodes, continue_training=True)

    def _sample_actions(self, learning_starts: int, action_noise: Any, num_envs: int) -> tuple[Any, Any]:
        """:return: actions for the environments, and the same for the replay buffer"""
        model, space = self._model, self._model.action_space
        if self._samples_legal_moves:
            observations = get_last_observations(model)
            if model.num_timesteps < learning_starts:
                actions = draw_legal(observations[MASK])
            else:
                actions, _state = self._predictor.predict(observations)
            return actions, actions
        if not self._samples_as_stock:
            return sample_actions(model, learning_starts, action_noise, num_envs)
        if model.num_timesteps < learning_starts and not (model.use_sde and model.use_sde_at_warmup):
            actions = np.array([space.sample() for _env in range(num_envs)])
        else:
            actions, _state = self._predictor.predict(get_last_observations(model))
        if not isinstance(space, spaces.Box):
            return actions, actions
        scaled = model.policy.scale_action(actions)
        if action_noise is not None:
            scaled = np.minimum(np.maximum(scaled + action_noise(), -1), 1)
        return model.policy.unscale_action(scaled), scaled

    def _add(
        self,
        buffer: Any,
        actions: NDArray[Any],
        new_obs: Any,
        rewards: NDArray[Any],
        dones: NDArray[np.bool_],
        infos: list[dict[str, Any]],
    ) -> None:
        """Do what SB3's methods do that add a step to a replay buffer, without copies of copies."""
        model, normalizer = self._model, get_normalizer(self._model)
        if normalizer is None:
            set_last_original_observations(model, get_last_observations(model))
            new_original = new_obs
        else:
            new_original, rewards = normalizer.get_original_obs(), normalizer.get_original_reward()
        next_obs = new_original
        if True in dones.tolist():
            next_obs = _replace_terminal(new_original, dones, infos, normalizer)
        place, size = buffer.pos, buffer.buffer_size
        _write(buffer.observations, place, get_last_original_observations(model))
        if buffer.optimize_memory_usage:
            _write(buffer.observations, (place + 1) % size, next_obs)
        else:
            _write(buffer.next_observations, place, next_obs)
        buffer.actions[place] = actions.reshape(buffer.actions.shape[1:])
        buffer.rewards[place] = rewards
        buffer.dones[place] = dones
        if buffer.handle_timeout_termination:
            buffer.timeouts[place] = [info.get("TimeLimit.truncated", False) for info in infos]
        buffer.pos = place + 1
        if buffer.pos == size:
            buffer.full, buffer.pos = True, 0
        set_last_observations(model, new_obs)
        if normalizer is not None:
            set_last_original_observations(model, new_original)


def _write(stored: Any, place: int, observations: Any) -> None:
    if isinstance(stored, dict):
        for key, part in stored.items():
            part[place] = observations[key].reshape(part.shape[1:])
    else:
        stored[place] = observations.reshape(stored.shape[1:])


def _replace_terminal(observations: Any, dones: NDArray[np.bool_], infos: list[dict[str, Any]], normalizer: Any) -> Any:
    """:return: copy with the last observations of finished episodes, instead of the first ones of the next episodes"""
    is_dict = isinstance(observations, dict)
    replaced = {key: part.copy() for key, part in observations.items()} if is_dict else observations.copy()
    for index in np.flatnonzero(dones).tolist():
        terminal = infos[index].get("terminal_observation")
        if terminal is None:
            continue
        if is_dict:
            terminal = terminal if normalizer is None else normalizer.unnormalize_obs(terminal)
            for key, part in replaced.items():
                part[index] = terminal[key]
        else:
            replaced[index] = terminal
            if normalizer is not None:
                replaced[index] = normalizer.unnormalize_obs(replaced[index])
    return replaced
