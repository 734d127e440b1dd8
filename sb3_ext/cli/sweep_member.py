"""
``sb3-ext`` in a process of a sweep: it ends with the process that started it.

``python -m sb3_ext.cli.sweep_member RUN_DIRECTORY train …`` first waits until an earlier process of the run, whose
machine or launcher was lost, has saved and ended.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from sb3_ext.cli import main
from sb3_ext.file_lock import is_locked
from sb3_ext.launching.parent_watch import end_with_parent
from sb3_ext.runs.paths import RunPaths

_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.2


def wait_for_owner(directory: Path, timeout_seconds: float = _WAIT_SECONDS) -> None:
    """
    Wait until no process owns a run.

    :param directory: the run directory; it may be missing
    :param timeout_seconds: after that the run may still be owned, and training reports who owns it
    """
    deadline = time.monotonic() + timeout_seconds
    while is_locked(RunPaths(directory).lock) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    # As a copy, not through sys.stdin: a thread that waits in there would keep the process from ending.
    end_with_parent(os.dup(sys.stdin.fileno()))
    wait_for_owner(Path(sys.argv.pop(1)))
    main()
