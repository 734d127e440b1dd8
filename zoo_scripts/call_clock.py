"""Add up the time that functions take, for the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any


class CallClock:
    """
    Adds up the time spent inside the functions that it wraps; a call inside another one counts once.

    :param read: current time in seconds: ``time.perf_counter``, or ``time.thread_time`` for the calling thread's
        processor time
    """

    def __init__(self, read: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = 0.0
        self._read = read
        self._depth = 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """:return: the same function, timed"""

        @wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            self._depth += 1
            began_at = self._read()
            try:
                return function(*arguments, **keywords)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += self._read() - began_at

        return timed
