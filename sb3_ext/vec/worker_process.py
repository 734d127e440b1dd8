"""What an environment's own process must do first: outlive Ctrl+C, and not outlive its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def prepare_worker_process() -> None:
    """
    Prepare the current process, if it is a worker; in the main process, do nothing.

    Ctrl+C in a terminal reaches the whole process group. The parent decides when its workers end (it still wants to
    save), so workers ignore it. A worker whose parent was killed is ended by the kernel (on Linux; elsewhere it ends
    when it next reads from its closed pipe).
    """
    if multiprocessing.parent_process() is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # the parent died before prctl took effect
            os.kill(os.getpid(), signal.SIGKILL)
