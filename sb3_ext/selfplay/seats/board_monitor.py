"""Monitor self-play episodes, except those on mirror boards."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn


class BoardMonitor(VecMonitor):
    """
    A ``VecMonitor`` for :class:`~sb3_ext.selfplay.seats.self_play_env.SelfPlayVecEnv`.

    On a mirror board the agent plays both sides, so the game has no return: it is not written to the file and does not
    count in SB3's mean return.

    :param arguments: arguments of ``VecMonitor``
    """

    def step_wait(self) -> VecEnvStepReturn:
        """:return: with ``episode`` in the info of each episode's last step"""
        observations, rewards, dones, infos = self.venv.step_wait()
        self.episode_returns += rewards
        self.episode_lengths += 1
        for board in np.flatnonzero(dones).tolist():
            if not infos[board].get("is_mirror"):
                infos[board]["episode"] = self._write_episode(board, infos[board])
        self.episode_returns[dones] = 0
        self.episode_lengths[dones] = 0
        return observations, rewards, dones, infos

    def _write_episode(self, board: int, info: dict[str, Any]) -> dict[str, Any]:
        self.episode_count += 1
        episode = {
            "r": self.episode_returns[board],
            "l": self.episode_lengths[board],
            "t": round(time.time() - self.t_start, 6),
            **{key: info[key] for key in self.info_keywords},
        }
        if self.results_writer:
            self.results_writer.write_row(episode)
        return episode
