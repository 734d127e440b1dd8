"""Decide when a checkpoint is due, by steps, episodes or time."""

from __future__ import annotations

from typing import Any

from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.triggers import EveryEpisodes, EverySeconds, EverySteps

_SECONDS_A_MINUTE = 60.0


class SaveTriggers:
    """
    :param interval: environment transitions; ``None`` switches off
    :param every_episodes: finished episodes; ``None`` switches off
    :param every_minutes: minutes of training; ``None`` switches off
    :raises ValueError: if one is not positive
    """

    def __init__(self, interval: int | None, every_episodes: int | None, every_minutes: float | None) -> None:
        self._by_steps = None if interval is None else EverySteps(interval)
        self._by_episodes = None if every_episodes is None else EveryEpisodes(every_episodes)
        self._by_seconds = None if every_minutes is None else EverySeconds(every_minutes * _SECONDS_A_MINUTE)
        self._stopwatch = Stopwatch()

    def start(self, step: int, episodes: int) -> None:
        """
        Start counting.

        :param step: environment transitions so far
        :param episodes: finished episodes so far
        """
        self._stopwatch.start()
        self.skip_to(step, episodes)

    def is_due(self, step: int, episodes: int) -> bool:
        """
        :param step: environment transitions so far
        :param episodes: finished episodes so far
        :return: whether a count has reached its next multiple
        """
        counts = (
            (self._by_steps, step),
            (self._by_episodes, episodes),
            (self._by_seconds, self._stopwatch.elapsed_seconds),
        )
        # Not lazily: each trigger must record its own multiple.
        due = [trigger.is_due(count) for trigger, count in counts if trigger is not None]
        return any(due)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return self._stopwatch.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Call :meth:`skip_to` afterwards."""
        self._stopwatch.load_state_dict(state)

    def skip_to(self, step: int, episodes: int) -> None:
        """
        Skip the checkpoints that are due up to here.

        :param step: environment transitions so far
        :param episodes: finished episodes so far
        """
        if self._by_steps is not None:
            self._by_steps.skip_to(step)
        if self._by_episodes is not None:
            self._by_episodes.skip_to(episodes)
        if self._by_seconds is not None:
            self._by_seconds.skip_to(self._stopwatch.elapsed_seconds)
