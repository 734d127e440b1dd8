"""Stop when a file appears: the way to stop a run from anywhere that can write to its disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sb3_ext.callbacks.stopping import AtBoundary, StopCallback

# A look costs some microseconds on a local disk and much more on a network one.
_LOOK_EVERY_SECONDS = 0.1


class StopFileCallback(StopCallback):
    """
    Ends training once a file exists, for the reason ``stop file``. Looks at most ten times a second.

    The file is left where it is: whoever owns the training removes it.

    :param path: the file to look for
    :param at_boundary: stop only between two rollouts
    """

    is_patient = True

    def __init__(self, path: Path | str, *, at_boundary: AtBoundary = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._path = os.fspath(path)
        self._next_look_at = 0.0

    def _find_stop_reason(self) -> str | None:
        now = time.monotonic()
        if now < self._next_look_at:
            return None
        self._next_look_at = now + _LOOK_EVERY_SECONDS
        return "stop file" if os.path.exists(self._path) else None  # noqa: PTH110 (a tenth of the cost of a Path's)
