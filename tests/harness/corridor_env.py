"""A corridor whose length is its difficulty: walk to the right end."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTHS = (2, 4, 8)


class CorridorEnv(gymnasium.Env[Any, Any]):
    """
    Action 1 goes right, action 0 left; the return is 1 at the right end, else 0. Some steps slip, at random.

    :param length: number of fields
    :param slip: probability that an action does nothing
    """

    def __init__(self, length: int = 2, slip: float = 0.1) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.length = length
        self.slip = slip
        self.bonus = 0.0
        self.limits = (0, 1)
        self._position = self._steps = 0

    def set_bonus(self, bonus: float) -> None:
        """
        :param bonus: added to the return of a success
        :raises ValueError: if it is negative
        """
        if bonus < 0:
            raise ValueError(f"bonus cannot be negative, but got {bonus}")
        self.bonus = bonus

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """:return: the first observation, at the left end"""
        super().reset(seed=seed)
        self._position = self._steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """:return: as in Gymnasium, with ``is_success`` at the end of an episode"""
        self._steps += 1
        if self.np_random.random() >= self.slip:
            self._position = max(0, self._position + (1 if action == 1 else -1))
        is_success = self._position >= self.length
        is_truncated = self._steps >= 3 * self.length and not is_success
        info = {"is_success": is_success, "length": float(self.length)} if is_success or is_truncated else {}
        return self._observe(), (1.0 + self.bonus) * is_success, is_success, is_truncated, info

    def _observe(self) -> np.ndarray[Any, Any]:
        return np.array([self._position / max(LENGTHS), self.length / max(LENGTHS)], np.float32)


gymnasium.register("Corridor-v0", CorridorEnv)
