"""Callbacks that find a full disk, without one."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

LIMIT_BYTES = 8192


class FullDiskCallback(BaseCallback):
    """
    From a step on, forbid the process of rank 0 to write files as large as checkpoints. In a later process with the
    same marker nothing happens.

    :param step: environment transitions of all ranks
    :param marker: file that is created before
    """

    def __init__(self, step: int, marker: str) -> None:
        super().__init__()
        self._step, self._marker = step, Path(marker)

    def _on_step(self) -> bool:
        is_due = self.model.num_timesteps >= self._step and os.environ.get("RANK", "0") == "0"
        if is_due and not self._marker.exists():
            self._marker.touch()
            forbid_large_files()
        return True


class WritingCallback(BaseCallback):
    """Write to a full disk at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._step:
            Path("/dev/full").write_text("an episode\n")
        return True


def forbid_large_files() -> None:
    """Let writes beyond the first kilobytes of a file fail with "File too large"."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, most))
