"""Parts of a training that always take long, so that signals can be sent in the middle of them."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import FlattenExtractor

_DICE = random.SystemRandom()


class SlowSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Sleeps before every step; how long differs, so that of several environments one has answered while others have not.

    :param env: the environment
    :param seconds: how long on average
    """

    def __init__(self, env: gymnasium.Env[Any, Any], seconds: float) -> None:
        super().__init__(env)
        self._seconds = seconds

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        time.sleep(_DICE.uniform(0.0, 2 * self._seconds))
        return self.env.step(action)


class SlowExtractor(FlattenExtractor):
    """
    Sleeps before every training pass, and never while experience is collected.

    :param observation_space: of the environment
    :param seconds: how long
    """

    def __init__(self, observation_space: gymnasium.Space[Any], seconds: float) -> None:
        super().__init__(observation_space)
        self._seconds = seconds

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        if self.training:
            time.sleep(self._seconds)
        return super().forward(observations)


class MarkCallback(BaseCallback):
    """
    Writes a line whenever training begins to collect or to update: the time, by the machine's monotonic clock, and
    which.

    :param path: the file to append to
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._write("collecting")

    def _on_rollout_end(self) -> None:
        self._write("updating")

    def _write(self, phase: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{time.monotonic()} {phase}\n")
