"""An environment with endless episodes that requests the end of its training in the middle of an episode."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class EndlessEnv(gymnasium.Env[Any, Any]):
    """
    Counts the steps of an episode, each of which is worth 1.

    :param episode_steps: an episode ends after so many; ``None``: it never does
    :param at_step: of an episode, when to touch ``touched`` and send ``sent``; ``None`` for never
    :param at_episode: of which episode
    :param touched: a file, such as the stop file of a run or a mark for a test
    :param sent: name of a signal for the training process
    """

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(
        self,
        episode_steps: int | None = None,
        at_step: int | None = None,
        at_episode: int = 1,
        touched: str | None = None,
        sent: str | None = None,
    ) -> None:
        self.steps = self.episodes = 0
        self._episode_steps, self._at_step, self._at_episode = episode_steps, at_step, at_episode
        self._touched, self._sent = touched, sent

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        self.episodes += 1
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if (self.steps, self.episodes) == (self._at_step, self._at_episode):
            self._ask_for_the_end()
        return self._observe(), 1.0, self.steps == self._episode_steps, False, {}

    def _observe(self) -> np.ndarray:
        return np.array([np.sin(self.steps)], np.float32)

    def _ask_for_the_end(self) -> None:
        if self._touched is not None:
            Path(self._touched).touch()
        if self._sent is not None:
            parent = multiprocessing.parent_process()
            is_in_evaluator = parent is not None and multiprocessing.current_process().name == "evaluator"
            pid = parent.pid if parent is not None and is_in_evaluator else os.getpid()
            assert pid is not None
            os.kill(pid, signal.Signals[self._sent])


gymnasium.register("endless/Endless-v0", entry_point=EndlessEnv)
