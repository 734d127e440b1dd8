"""Worker processes are forked from a server that has the heavy imports behind it."""

from __future__ import annotations

import multiprocessing

multiprocessing.set_forkserver_preload(["sb3_ext.vec.snapshot_wrapper", "sb3_ext.vec.worker_loop"])
