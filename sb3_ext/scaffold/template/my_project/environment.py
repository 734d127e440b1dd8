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
    :param render_mode: ``rgb_array`` draws the line as an image
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

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
        self.position, self.goal = self.np_random.uniform(-self.size, self.size, 2)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move by half a unit; the reward is the negative distance, and 10 at the goal, which ends the episode."""
        self.position = float(np.clip(self.position + (int(action) - 1) * 0.5, -self.size, self.size))
        distance = abs(self.position - self.goal)
        is_at_goal = bool(distance < 0.3)
        reward = 10.0 if is_at_goal else -distance
        # Truncation after max_episode_steps is done by Gymnasium.
        return self._observe(), reward, is_at_goal, False, {"is_success": is_at_goal}

    def render(self) -> np.ndarray | None:
        """Draw the goal in red and the point in blue, as an image for films."""
        if self.render_mode is None:
            return None
        image = np.full((32, 328, 3), 255, dtype=np.uint8)
        for place, color in ((self.goal, (200, 40, 40)), (self.position, (40, 80, 200))):
            column = round((place / self.size + 1) * 160)
            image[12:20, column : column + 8] = color
        return image

    def _observe(self) -> np.ndarray:
        return np.array([self.position, self.goal], dtype=np.float32)
