"""Keep the image of the last state of each episode, for videos."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class LastFrameWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """
    Render the last state of each episode into ``info["last_frame"]``, since a ``VecEnv`` resets its environment before
    a caller can render that state.

    :param env: made with ``render_mode="rgb_array"``
    """

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and add the frame to the info of the last step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info["last_frame"] = self.env.render()
        return observation, reward, terminated, truncated, info
