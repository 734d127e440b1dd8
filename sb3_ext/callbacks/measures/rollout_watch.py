"""Track rollouts and their duration."""

from __future__ import annotations

import time

_SHORT_SECONDS = 1.0
_KEEP_EVERY_SECONDS = 1.0
_MAX_SHARE_OF_KEEPING = 0.02
_OVERLONG_SECONDS = 600.0


class RolloutWatch:
    """
    Tracks the starts and ends of rollouts.

    When training ends within a rollout, the last state kept between two rollouts is saved. That state is kept in memory
    at the start of every long rollout, and about once a second if rollouts are short.

    :ivar has_begun: whether a rollout has started
    :ivar is_at_boundary: whether ``learn`` has ended after an update, rather than within a rollout or an update
    :ivar is_short: whether the last rollout, with its update, took less than a second, so that a stop can wait for it
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.is_at_boundary = False
        self.is_short = False
        self._is_in_rollout = False
        self._first_began_at = 0.0
        self._began_at = 0.0
        self._keep_at = 0.0

    def begin(self) -> None:
        """Record the start of a rollout."""
        now = time.monotonic()
        self.is_short = self.has_begun and now - self._began_at < _SHORT_SECONDS
        self._first_began_at = self._first_began_at if self.has_begun else now
        self.has_begun = self._is_in_rollout = True
        self.is_at_boundary = False
        self._began_at = now

    def end(self) -> None:
        """Record the end of a rollout."""
        self._is_in_rollout = False

    def end_learning(self) -> None:
        """Record that ``learn`` returns normally, also when a callback has returned ``False``."""
        self.is_at_boundary = not self._is_in_rollout

    def is_overlong(self) -> bool:
        """:return: whether this rollout takes longer than all earlier ones together, and longer than ten minutes"""
        seconds, seconds_before = time.monotonic() - self._began_at, self._began_at - self._first_began_at
        return seconds > max(seconds_before, _OVERLONG_SECONDS)

    def should_keep(self) -> bool:
        """:return: whether to keep the state at the start of this rollout"""
        return not self.is_short or time.monotonic() >= self._keep_at

    def note_keeping(self, seconds: float) -> None:
        """
        Record the duration of keeping a state, which may take at most 2 % of the time.

        :param seconds: the duration
        """
        self._keep_at = time.monotonic() + max(_KEEP_EVERY_SECONDS, seconds / _MAX_SHARE_OF_KEEPING)
