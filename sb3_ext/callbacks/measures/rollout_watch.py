"""Where a training stands between its rollouts, and how long they are."""

from __future__ import annotations

import time

_SHORT_SECONDS = 1.0
_KEEP_EVERY_SECONDS = 1.0
_MAX_SHARE_OF_KEEPING = 0.02
_OVERLONG_SECONDS = 600.0


class RolloutWatch:
    """
    Told when rollouts begin and end.

    A state from between two rollouts is what an end in the midst of one leaves. Where rollouts are long, each begins
    with such a state being kept in memory; where they are short, now and then one does.

    :ivar has_begun: whether there has been a rollout at all
    :ivar is_at_boundary: whether ``learn`` has ended after an update, rather than in the midst of a rollout or of an
        update, where an exception leaves it
    :ivar is_short: whether the last one, with its update, took less than a second: then a stop can wait for its end
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
        """A rollout begins."""
        now = time.monotonic()
        self.is_short = self.has_begun and now - self._began_at < _SHORT_SECONDS
        self._first_began_at = self._first_began_at if self.has_begun else now
        self.has_begun = self._is_in_rollout = True
        self.is_at_boundary = False
        self._began_at = now

    def end(self) -> None:
        """It has ended, and an update begins."""
        self._is_in_rollout = False

    def end_learning(self) -> None:
        """``learn`` returns normally, if only because a callback has returned ``False``."""
        self.is_at_boundary = not self._is_in_rollout

    def is_overlong(self) -> bool:
        """:return: whether this rollout lasts longer than all before it together, and longer than ten minutes"""
        seconds, seconds_before = time.monotonic() - self._began_at, self._began_at - self._first_began_at
        return seconds > max(seconds_before, _OVERLONG_SECONDS)

    def should_keep(self) -> bool:
        """:return: whether the state at this beginning is to be kept"""
        return not self.is_short or time.monotonic() >= self._keep_at

    def note_keeping(self, seconds: float) -> None:
        """
        :param seconds: what it took to keep one: short rollouts are not to spend more than 2 % of their time on it
        """
        self._keep_at = time.monotonic() + max(_KEEP_EVERY_SECONDS, seconds / _MAX_SHARE_OF_KEEPING)
