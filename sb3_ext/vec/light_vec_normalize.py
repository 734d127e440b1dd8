"""A ``VecNormalize`` with less overhead per step."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn


class LightVecNormalize(VecNormalize):
    """
    SB3's ``VecNormalize`` with the same results, bit for bit, in about half of the time: SB3 computes means and
    variances of a few numbers by functions that take ten times longer than the arithmetic.

    It is pickled as a ``VecNormalize``, so a saved file opens where this package is not installed.

    :param arguments: arguments of ``VecNormalize``
    """

    def step_wait(self) -> VecEnvStepReturn:
        """
        :return: observations, rewards, dones and infos
        """
        observations, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(observations, np.ndarray | dict)
        self.old_obs, self.old_reward = observations, rewards
        if self.training:
            if self.norm_obs:
                self._update_observations(observations)
            self.returns = self.returns * self.gamma + rewards
            update_statistics(self.ret_rms, self.returns)
        if True in dones.tolist():
            for place in np.flatnonzero(dones).tolist():
                if "terminal_observation" in infos[place]:
                    infos[place]["terminal_observation"] = self.normalize_obs(infos[place]["terminal_observation"])
            self.returns[dones] = 0
        return self.normalize_obs(observations), self.normalize_reward(rewards), dones, infos

    def normalize_obs(self, obs: NDArray[Any] | dict[str, NDArray[Any]]) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """
        :param obs: observations
        :return: normalised observations, new arrays; statistics are not changed
        """
        if not self.norm_obs:
            return copy.deepcopy(obs)
        if isinstance(obs, dict) and isinstance(self.obs_rms, dict):
            keys = self.norm_obs_keys or ()
            return {
                key: self._scale(part, self.obs_rms[key]) if key in keys else copy.deepcopy(part)
                for key, part in obs.items()
            }
        return self._scale(obs, self.obs_rms)

    def normalize_reward(self, reward: NDArray[Any]) -> NDArray[Any]:
        """
        :param reward: rewards
        :return: normalised rewards, a new array; statistics are not changed
        """
        if self.norm_reward:
            scale = np.sqrt(self.ret_rms.var + self.epsilon)
            reward = np.minimum(np.maximum(reward / scale, -self.clip_reward), self.clip_reward)
        return reward.astype(np.float32)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return object.__new__, (VecNormalize,), self.__getstate__()

    def _update_observations(self, observations: NDArray[Any] | dict[str, NDArray[Any]]) -> None:
        if isinstance(observations, dict) and isinstance(self.obs_rms, dict):
            for key, statistics in self.obs_rms.items():
                update_statistics(statistics, observations[key])
        else:
            update_statistics(self.obs_rms, observations)

    def _scale(self, values: Any, statistics: Any) -> NDArray[np.float32]:
        scaled = (values - statistics.mean) / np.sqrt(statistics.var + self.epsilon)
        scaled = np.minimum(np.maximum(scaled, -self.clip_obs), self.clip_obs)
        return scaled.astype(np.float32)  # type: ignore[no-any-return]


def update_statistics(statistics: Any, values: Any) -> None:
    """
    Do what ``statistics.update(values)`` does, with the same bits.

    :param statistics: a ``RunningMeanStd``
    :param values: array whose first axis is averaged over
    """
    if type(statistics) is not RunningMeanStd or values.dtype not in (np.float32, np.float64):
        statistics.update(values)
        return
    count = len(values)
    mean = np.add.reduce(values, axis=0) / values.dtype.type(count)
    centred = values - mean
    variance = np.add.reduce(centred * centred, axis=0) / values.dtype.type(count)
    statistics.update_from_moments(mean, variance, count)
