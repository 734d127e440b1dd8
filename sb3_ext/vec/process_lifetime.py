"""Workers outlive signals that go to the whole process group, and do not outlive the process that they work for."""

from __future__ import annotations

import ctypes
import fcntl
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
    Start processes inside: they hear nothing of SIGINT and SIGTERM, from their first instruction on.

    Ctrl+C in a terminal, a job scheduler and ``timeout`` signal the whole process group. The training decides when its
    workers end: it still wants to save. That includes the server that forks them, which would take them along.
    """
    resource_tracker.ensure_running()  # when it starts, it lifts the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def prepare_processes() -> None:
    """Let the server that forks the workers import what they need, once for all."""
    multiprocessing.set_forkserver_preload(["sb3_ext.vec.workers.worker_loop"])


def prepare_worker_process() -> None:
    """
    Prepare the current process, if it is a worker; in the main process, do nothing.

    It ignores SIGINT, and obeys SIGTERM only if it comes from the process that it works for, where multiprocessing
    sends it on exit. A worker whose parent was killed is ended by the kernel (on Linux; elsewhere it ends when it next
    reads from its closed pipe).
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _IS_LINUX:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_when_closed(parent.sentinel)
    if not parent.is_alive():  # it died before that took effect
        os.kill(os.getpid(), signal.SIGKILL)
    if all(thread.name != _LISTENER for thread in threading.enumerate()):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey, args=(parent.pid,), name=_LISTENER, daemon=True).start()


def _end_when_closed(pipe: int) -> None:
    """
    To the kernel the parent of a worker is the server that forked it, which lives on as long as any worker does. This
    pipe's other end belongs to the process that it works for: when that is gone, the kernel sends SIGKILL, where a
    thread that watches the pipe might never have its turn.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _obey(parent_pid: int | None) -> None:
    """A handler would not know who has sent the signal."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent_pid:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
