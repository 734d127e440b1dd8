"""A callback that ends one rank at a step, once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback


class RankFaultCallback(BaseCallback):
    """
    Send a signal to the process of one rank at a step. In a later process with the same marker nothing happens.

    :param step: environment transitions of all ranks
    :param rank: index of the rank
    :param signal_name: such as ``SIGKILL``
    :param marker: file that is created before the signal is sent
    """

    def __init__(self, step: int, rank: int, signal_name: str, marker: str) -> None:
        super().__init__()
        self._step, self._rank, self._signal = step, rank, signal.Signals[signal_name]
        self._marker = Path(marker)

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._step and int(os.environ["RANK"]) == self._rank:
            try:
                self._marker.touch(exist_ok=False)
            except FileExistsError:
                return True
            os.kill(os.getpid(), self._signal)
        return True


class RankErrorCallback(BaseCallback):
    """Raise an error on one rank at a step."""

    def __init__(self, step: int, rank: int) -> None:
        super().__init__()
        self._step, self._rank = step, rank

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._step and int(os.environ["RANK"]) == self._rank:
            raise ArithmeticError("a fault of the test")
        return True
