"""Stop when a file exists, which stops a run from any machine that can write to its disk."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.interruption import StopFile


class StopFileCallback(StopCallback):
    """
    Stop training when a file exists, with the reason ``stop file``. The file is checked at most ten times a second.

    The file is not removed.

    :param path: path of the file
    :param at_boundary: stop only between two rollouts
    """

    is_patient = True

    def __init__(self, path: Path | str, *, at_boundary: AtBoundary = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._file = StopFile(path)

    def _find_stop_reason(self) -> str | None:
        return self._file.find_reason()
