"""An environment that fails in every way that a process can."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
FAULTS = ("raise", "exit", "leave", "kill", "stop", "hang", "spin")


class FaultyEnv(gymnasium.Env[Any, Any]):
    """
    Counts its steps, and at some point raises an exception, exits, is killed or stopped, sleeps or spins for ever.

    :param fault: one of ``FAULTS``
    :param at_step: in which step of an environment, and in every multiple of it; ``None`` for none
    :param seed: of the environment that it happens to: the first is seeded with ``seed``, the next with one more …
    :param where: ``step``, ``reset`` or ``make``
    :param marker: a file that is made when it happens; once it is there, it does not happen again. ``None`` for always
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(
        self,
        fault: str = "raise",
        at_step: int | None = 3,
        seed: int | None = None,
        where: str = "step",
        marker: str | None = None,
    ) -> None:
        self.steps = 0
        self._fault, self._at_step, self._where = fault, at_step, where
        self._chosen_seed, self._seed = seed, None
        self._marker = None if marker is None else Path(marker)
        if where == "make":
            self.break_down()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._seed = self._seed if seed is None else seed
        if self._where == "reset":
            self._break_down_if_chosen()
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self._where == "step" and self._at_step is not None and self.steps % self._at_step == 0:
            self._break_down_if_chosen()
        return self._observe(), 1.0, self.steps % 20 == 0, False, {}

    def break_down(self) -> None:
        """Do it now."""
        if self._marker is not None:
            self._marker.touch()
        if self._fault == "raise":
            raise ArithmeticError("the engine is on fire")
        if self._fault == "exit":
            os._exit(3)
        if self._fault == "leave":
            sys.exit(4)
        while self._fault == "hang":
            time.sleep(1.0)
        while self._fault == "spin":
            pass
        os.kill(os.getpid(), SIGNALS[self._fault])

    def _observe(self) -> np.ndarray:
        return np.array([self.steps, -1 if self._seed is None else self._seed], np.float32)

    def _break_down_if_chosen(self) -> None:
        if self._chosen_seed in (None, self._seed) and (self._marker is None or not self._marker.exists()):
            self.break_down()


gymnasium.register("faulty/Faulty-v0", entry_point=FaultyEnv)
