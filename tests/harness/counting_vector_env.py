"""A vector environment that counts its steps. It is registered as a vector environment only."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class CountingVectorEnv(VectorEnv[Any, Any, Any]):
    """
    An observation is the index of the environment, the number of its episode, the step and random noise. Episodes of
    environment ``i`` end after ``first_length + i`` steps; those of odd environments are truncated.

    :param num_envs: number of environments
    :param first_length: of the episodes of environment 0
    :param autoreset: name of an ``AutoresetMode``
    :param render_mode: as in Gymnasium
    """

    def __init__(
        self, num_envs: int, first_length: int = 2, autoreset: str = "DISABLED", render_mode: str | None = None
    ) -> None:
        self.num_envs, self.render_mode = num_envs, render_mode
        self.metadata = {"autoreset_mode": AutoresetMode[autoreset], "render_modes": ["rgb_array"], "render_fps": 10}
        self.single_observation_space = spaces.Box(-1e6, 1e6, (4,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.lengths = first_length + np.arange(num_envs)
        self.steps, self.episodes = np.zeros(num_envs, dtype=int), np.zeros(num_envs, dtype=int)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        if mask is None:
            mask = np.ones(self.num_envs, dtype=bool)
            self.episodes[:] = 0
        self.steps[mask] = 0
        self.episodes[mask] += 1
        return self._observe(), {"episode_number": self.episodes.copy(), "_episode_number": mask}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.steps += 1
        ended = self.steps >= self.lengths
        is_odd = np.arange(self.num_envs) % 2 == 1
        observations, infos = self._observe(), {"step": self.steps.copy()}
        if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and ended.any():
            last_infos, infos = infos, {}
            last = observations
            observations, infos = self.reset(options={"reset_mask": ended})
            kept = ~ended
            infos = {**infos, "step": last_infos["step"], "_step": kept}
            infos |= {"final_obs": last, "_final_obs": ended, "final_info": last_infos, "_final_info": ended}
        return observations, np.asarray(actions, dtype=float), ended & ~is_odd, ended & is_odd, infos

    def render(self) -> Any:
        return tuple(np.full((8, 8, 3), steps, dtype=np.uint8) for steps in self.steps)

    def action_masks(self) -> Any:
        return np.stack([self.steps % 2 == 0, np.ones(self.num_envs, dtype=bool)], axis=1)

    def _observe(self) -> Any:
        noise = self.np_random.random(self.num_envs)
        return np.stack([np.arange(self.num_envs), self.episodes, self.steps, noise], axis=1).astype(np.float32)


def make_counting_envs(num_envs: int, length: int = 2) -> CountingVectorEnv:
    """
    :param num_envs: number of environments
    :param length: of the episodes of environment 0
    :return: the environments
    """
    return CountingVectorEnv(num_envs, length)


gymnasium.register("CountingVector-v0", vector_entry_point=CountingVectorEnv)
