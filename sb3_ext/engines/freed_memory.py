"""Let the C library keep freed memory for the next minibatch."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 512 * 2**20
_LARGEST_BYTES = 32 * 2**20  # the C library accepts no more


def keep_freed_memory() -> None:
    """
    Let this process keep up to 512 MB of freed memory, on Linux with glibc; elsewhere do nothing.

    By default glibc returns large arrays to the system, which clears them page by page when they are allocated again,
    for each layer of each minibatch. This takes up to a third of an update.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
            set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
