"""
Handle SIGINT and SIGTERM: the first signal asks training to stop and save, a second one ends it at once. Before
training has begun, the first signal already ends it at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from sb3_ext.own_signals import signal_main_thread, signal_process

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# `timeout` signals the process and then its group: a second signal within this time is the same request.
_REPEAT_SECONDS = 0.3
_LOOK_SECONDS = 0.2


def ignore_signals() -> dict[signal.Signals, Any]:
    """
    Ignore SIGINT and SIGTERM in this process.

    :return: the previous handlers
    """
    return {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}


class Interrupted(KeyboardInterrupt):
    """
    End at once, without finishing the rollout, update or save.

    :param signal_name: name of the first signal, such as ``SIGTERM``
    """

    def __init__(self, signal_name: str) -> None:
        self.signal_name = signal_name
        super().__init__(f"interrupted by {signal_name}")


@contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """
    Context manager in which SIGTERM raises :class:`Interrupted`, as Ctrl+C raises ``KeyboardInterrupt``, so that files
    and processes are closed.

    Does nothing outside of the main thread, where Python allows no handlers.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        _put_back(signal.SIGTERM, previous)


@contextmanager
def dying_of_signals() -> Iterator[None]:
    """
    Context manager in which SIGINT and SIGTERM end the process at once, for calls into C++ code that waits: Python's
    handlers run only when such a call returns. Use it only while there is nothing to close or save.
    """
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            _put_back(number, handler)


class SignalWatch:
    """
    Record SIGINT and SIGTERM between :meth:`begin` and :meth:`end`, or inside a ``with`` block.

    Python allows handlers in the main thread only; in other threads this does nothing and :attr:`received` stays
    ``None``.

    :ivar received: name of the first signal received; ``None`` if there was none
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._received_at = 0.0
        self._previous: dict[int, Any] = {}
        self._pid = os.getpid()
        self._is_ending = False
        self._is_at_once = False

    def begin(self) -> None:
        """Install the handlers. A second call does nothing."""
        if not self._previous and threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}

    def end(self) -> None:
        """Restore the earlier handlers. A second call does nothing."""
        for number in list(self._previous):
            self._restore(number)

    @contextmanager
    def ignoring_afterwards(self) -> Iterator[None]:
        """
        Ignore signals from the end of the watch to the end of the block, so that they do not interrupt the final work.
        """
        previous, self._previous = self._previous, dict.fromkeys(self._previous, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in previous.items():
                _put_back(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """
        Context manager in which the first signal raises :class:`Interrupted`, for work before training.

        :raises Interrupted: also on entry if a signal was received before, and on exit if the block has suppressed the
            exception
        """
        self._raise_if_received()
        self._is_at_once = True
        try:
            yield
        finally:
            self._is_at_once = False
        self._raise_if_received()

    @contextmanager
    def interrupting_when(self, condition: Callable[[], bool]) -> Iterator[None]:
        """
        Context manager that treats a condition as a SIGTERM.

        :param condition: returns whether the condition holds; called several times a second from another thread
        """
        has_ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(condition, has_ended), name="start-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()  # and the thread ends soon

    def find_reason(self) -> str | None:
        """:return: stop reason, such as ``signal SIGTERM``; ``None`` without a signal"""
        return None if self.received is None else f"signal {self.received}"

    def ignore_further(self) -> None:
        """Raise nothing from now on, so that signals do not interrupt the end of the run."""
        self._is_ending = True

    def __enter__(self) -> SignalWatch:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def _raise_if_received(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received)

    def _watch(self, condition: Callable[[], bool], has_ended: threading.Event) -> None:
        while not has_ended.wait(_LOOK_SECONDS):
            if condition() and self._previous:
                signal_main_thread(signal.SIGTERM)
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # in a forked worker, restore the previous handler
            self._restore(number)
            signal_process(number)
            return
        now = time.monotonic()
        if self.received is None:
            self.received = signal.Signals(number).name
            self._received_at = now
            if self._is_at_once:
                raise Interrupted(self.received)
        elif now - self._received_at > _REPEAT_SECONDS and not self._is_ending:
            raise Interrupted(self.received)

    def _restore(self, number: int) -> None:
        _put_back(number, self._previous.pop(number))


def _put_back(number: int, handler: Any) -> None:
    # None: the handler was not installed from Python and cannot be restored from Python.
    signal.signal(number, signal.SIG_DFL if handler is None else handler)
