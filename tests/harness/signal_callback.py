"""A callback that sends a signal to its own process."""

from __future__ import annotations

import os
import signal

from stable_baselines3.common.callbacks import BaseCallback


class SignalCallback(BaseCallback):
    """Sends this process SIGTERM at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def _on_step(self) -> bool:
        if self.num_timesteps == self._step:
            os.kill(os.getpid(), signal.SIGTERM)
        return True
