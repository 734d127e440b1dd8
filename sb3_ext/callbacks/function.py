"""Call a function after every episode."""

from __future__ import annotations

import inspect
import math
import time
from collections import deque
from collections.abc import Callable
from statistics import fmean
from typing import Any

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.callbacks.measures.throughput import Throughput
from sb3_ext.reports.metrics_file import replace_non_finite

_WINDOW_EPISODES = 100


class FunctionCallback(StopCallback, EpisodeCallback):
    """
    Call a function after every episode, with a dictionary::

        {"episode": 12, "step": 3456,
         "step_metrics": {"reward": 17.0, "length": 17, "avg_reward": 21.3, "avg_length": 21.3, "fps": 812.4},
         "eval_metrics": None}

    ``reward`` and ``length`` are those of the episode, averages are over the last 100 episodes, and ``fps`` is
    environment transitions per second over the last half minute; unknown values are ``None``. Training stops, with the
    reason ``callback``, if the function returns ``False`` (not ``None`` or 0).

    :param function: function that takes this dictionary as its only argument
    :param find_eval_metrics: function that returns the latest evaluation as ``eval_metrics``, ``None`` if there is none
    :raises ValueError: if ``function`` cannot be called with one argument
    """

    state_key = "function"
    is_patient = True

    def __init__(
        self,
        function: Callable[[dict[str, Any]], Any],
        find_eval_metrics: Callable[[], dict[str, Any] | None] | None = None,
    ) -> None:
        super().__init__()
        _check_signature(function)
        self._function = function
        self._find_eval_metrics = find_eval_metrics
        self._latest: deque[tuple[float, int]] = deque(maxlen=_WINDOW_EPISODES)
        self._throughput = Throughput()
        self._is_stop_asked = False

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "latest": replace_non_finite(list(self._latest))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        for episode_return, length in state["latest"]:
            self._latest.append((math.nan if episode_return is None else episode_return, length))

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._is_stop_asked = False
        self._throughput = Throughput()
        self._throughput.add(time.monotonic(), self.num_timesteps)

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        self._throughput.add(time.monotonic(), self.num_timesteps)
        if episode_return is not None and episode_length is not None:
            self._latest.append((episode_return, episode_length))
        step_metrics = {
            "reward": episode_return,
            "length": episode_length,
            "avg_reward": fmean(episode_return for episode_return, _ in self._latest) if self._latest else None,
            "avg_length": fmean(length for _, length in self._latest) if self._latest else None,
            "fps": self._throughput.rate,
        }
        metrics = {
            "episode": self.episodes,
            "step": self.num_timesteps,
            "step_metrics": step_metrics,
            "eval_metrics": None if self._find_eval_metrics is None else self._find_eval_metrics(),
        }
        if self._function(metrics) is False:
            self._is_stop_asked = True

    def _find_stop_reason(self) -> str | None:
        return "callback" if self._is_stop_asked else None


def _check_signature(function: Callable[..., Any]) -> None:
    if not callable(function):
        raise ValueError(f"function must be callable with one argument, a dict of metrics, but got {function!r}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-in functions tell none
        return
    try:
        signature.bind({})
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        raise ValueError(f"{name}{signature} must be callable with one argument, a dict of metrics: {error}") from error
