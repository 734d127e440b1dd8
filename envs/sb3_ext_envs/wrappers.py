"""Wrappers that tuned hyperparameters of RL Zoo are for."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

_VELOCITIES = {
    "CartPole": (1, 3),
    "LunarLander": (2, 3, 5),
    "LunarLanderContinuous": (2, 3, 5),
    "MountainCar": (1,),
    "MountainCarContinuous": (1,),
    "Pendulum": (2,),
}
"""Name of an environment -> the places of velocities in its observations."""


class FrameSkip(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Repeat each action, and add up the rewards.

    :param env: the environment
    :param skip: number of steps of the environment for each step; fewer at the end of an episode
    """

    def __init__(self, env: gymnasium.Env[Any, Any], skip: int = 4) -> None:
        super().__init__(env)
        if skip < 1:
            raise ValueError(f"skip must be positive, but got {skip}")
        self._skip = skip

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take the last observation and the sum of the rewards."""
        total = 0.0
        for _ in range(self._skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class VelocityMask(gymnasium.ObservationWrapper[Any, Any, Any]):
    """
    Set the velocities in observations to 0, so that the task needs memory.

    :param env: CartPole, LunarLander, MountainCar (also with continuous actions) or Pendulum
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        name = "" if env.spec is None else env.spec.name
        if name not in _VELOCITIES:
            raise ValueError(
                f"the velocities of {name or 'this environment'} are not known, only {', '.join(_VELOCITIES)}"
            )
        self._places = list(_VELOCITIES[name])

    def observation(self, observation: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """
        :param observation: of the environment
        :return: a copy without velocities
        """
        masked = observation.copy()
        masked[self._places] = 0.0
        return masked
