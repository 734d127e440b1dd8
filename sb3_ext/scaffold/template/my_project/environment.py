"""The environment."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class MyProjectEnv(gymnasium.Env[np.ndarray, np.int64]):
    """
    A point on a line moves left, stays, or moves right, to reach a goal in as few steps as possible.

    Replace this task by yours. Draw all random numbers from ``self.np_random``, which ``reset(seed=...)`` seeds: then
    trainings are reproducible, and a resumed training continues exactly.

    :param size: positions and goals are between ``-size`` and ``size``
    :param render_mode: ``ansi`` draws the line as text
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 10}

    def __init__(self, size: float = 5.0, render_mode: str | None = None) -> None:
        self.size = size
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-size, size, shape=(2,), dtype=np.float32)  # position, goal
        self.action_space = spaces.Discrete(3)  # left, stay, right

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode at a random position with a random goal."""
        super().reset(seed=seed)
        self._position, self._goal = self.np_random.uniform(-self.size, self.size, 2)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move by half a unit; the reward is the negative distance, and 10 at the goal, which ends the episode."""
        self._position = float(np.clip(self._position + (int(action) - 1) * 0.5, -self.size, self.size))
        distance = abs(self._position - self._goal)
        is_at_goal = bool(distance < 0.3)
        reward = 10.0 if is_at_goal else -distance
        # Truncation after max_episode_steps is done by Gymnasium.
        return self._observe(), reward, is_at_goal, False, {"is_success": is_at_goal}

    def render(self) -> str | None:
        """Draw the point as ``o`` and the goal as ``x``."""
        if self.render_mode != "ansi":
            return None
        line = ["."] * 41
        for place, mark in ((self._goal, "x"), (self._position, "o")):
            line[round((place / self.size + 1) * 20)] = mark
        return "".join(line)

    def _observe(self) -> np.ndarray:
        return np.array([self._position, self._goal], dtype=np.float32)
