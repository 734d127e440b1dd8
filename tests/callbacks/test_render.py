from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import A2C

from sb3_ext.callbacks import RenderCallback
from sb3_ext.errors import Sb3ExtError


class Drawing(gymnasium.Env[Any, Any]):
    """Counts how often it is drawn."""

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 30}  # noqa: RUF012
    observation_space = spaces.Box(-1.0, 1.0, (2,))
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: str | None) -> None:
        self.render_mode = render_mode
        self.drawn = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), 0.0, False, False, {}

    def render(self) -> Any:
        self.drawn += 1
        return np.zeros((8, 8, 3), np.uint8)


def make_a2c(env: Drawing) -> A2C:
    return A2C("MlpPolicy", env, n_steps=5, policy_kwargs={"net_arch": [4]}, device="cpu")


def test_renders_after_every_step() -> None:
    env = Drawing("human")
    make_a2c(env).learn(10, callback=RenderCallback())
    assert env.drawn == 10


@pytest.mark.parametrize(
    ("render_mode", "message"),
    [
        (None, "needs environments made with render_mode 'human' or 'rgb_array', but these were made with None"),
        ("rgb_array", "needs OpenCV: pip install opencv-python"),
    ],
)
def test_a_missing_render_mode_or_opencv_is_an_error(
    render_mode: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr("sb3_ext.callbacks.render.find_spec", lambda name: None if name == "cv2" else find_spec(name))
    with pytest.raises(Sb3ExtError, match=message):
        make_a2c(Drawing(render_mode)).learn(10, callback=RenderCallback())
