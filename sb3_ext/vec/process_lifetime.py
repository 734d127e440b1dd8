"""Protect worker processes from signals to the process group, and end them with the training process."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_IS_LINUX = sys.platform == "linux"
_GROUP_SIGNALS = {signal.SIGINT, signal.SIGTERM} if _IS_LINUX else {signal.SIGINT}
_LISTENER = "sigterm-listener"


@contextmanager
def shield_new_processes() -> Iterator[None]:
    """
    Block SIGINT and SIGTERM in processes that are started inside, from their first instruction on.

    Ctrl+C in a terminal, a job scheduler and ``timeout`` signal the whole process group. The training process needs its
    workers until it has saved, and then ends them. The same holds for the server that forks them: they end with it.

    Windows has no masks of signals: there a worker ignores SIGINT only once it has started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start resets the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def preload_workers() -> None:
    """Let the server that forks the workers import their modules once for all of them."""
    multiprocessing.set_forkserver_preload(["sb3_ext.vec.workers.worker_loop"])


def prepare_worker_process() -> None:
    """
    Prepare the current process if it is a worker; in the main process, do nothing.

    A worker ignores SIGINT, and ends on SIGTERM only if its parent sends it, as multiprocessing does on exit. If the
    parent was killed, the kernel kills the worker (on Linux; elsewhere it ends when it next reads from its closed
    pipe).
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _IS_LINUX:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_when_closed(parent.sentinel)
    if not parent.is_alive():  # the parent died before that took effect
        os.kill(os.getpid(), signal.SIGKILL)
    if all(thread.name != _LISTENER for thread in threading.enumerate()):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_on_sigterm, args=(parent.pid,), name=_LISTENER, daemon=True).start()


def request_sigterm_from_parent() -> None:
    """Let the kernel send SIGTERM to this process when its parent ends, also if that was killed (on Linux)."""
    if _IS_LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_when_closed(pipe: int) -> None:
    """
    Let the kernel send SIGKILL when the other end of a pipe is closed.

    To the kernel, the parent of a worker is the server that forked it, which runs as long as any worker does. The other
    end of this pipe belongs to the training process. A thread that watches the pipe might never be scheduled.
    """
    import fcntl  # not on Windows

    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _end_on_sigterm(parent_pid: int | None) -> None:
    """Wait for SIGTERM from the parent; a signal handler would not know the sender."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent_pid:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
