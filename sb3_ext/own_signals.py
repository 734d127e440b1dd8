"""Send signals to this process, on any system."""

from __future__ import annotations

import os
import signal
import threading

_IS_WINDOWS = os.name == "nt"


def signal_main_thread(number: int) -> None:
    """
    Send a signal to the main thread of this process, from any thread.

    :param number: the signal. Where a thread cannot be signalled (Windows), the handler runs when the main thread
        returns from a system call
    """
    if hasattr(signal, "pthread_kill"):
        # To the thread: it may wait in a system call, for example for a worker process.
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def signal_process(number: int) -> None:
    """
    Send a signal to this process.

    :param number: the signal; its handler runs, which ``os.kill`` does not do on Windows
    """
    if _IS_WINDOWS:
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)
