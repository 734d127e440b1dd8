"""End a process with the process that started it."""

from __future__ import annotations

import os
import signal
import threading

from sb3_ext.own_signals import signal_process


def end_with_parent(descriptor: int) -> None:
    """
    Send SIGTERM to this process when the process that started it has ended, in any way.

    :param descriptor: reading end of a pipe whose other end only that process has
    """
    threading.Thread(target=_watch, args=(descriptor,), name="parent-watch", daemon=True).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1 << 10):
        pass
    signal_process(signal.SIGTERM)
