"""An environment that draws from the global random number generator of its process, as environments should not."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class GlobalNoiseEnv(gymnasium.Env[Any, Any]):
    """Draws its observations from the process's global generator, as environments should not."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self._observe(), 1.0, bool(self.np_random.random() < 0.1), False, {}

    def _observe(self) -> np.ndarray:
        return np.random.normal(size=2).astype(np.float32)


gymnasium.register("GlobalNoise-v0", GlobalNoiseEnv)
