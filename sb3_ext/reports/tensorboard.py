"""TensorBoard events, whose loss is no reason to end a training."""

from __future__ import annotations

import logging
import threading
from typing import Any

from stable_baselines3.common.logger import TensorBoardOutputFormat

logger = logging.getLogger(__name__)


class EventWriter(TensorBoardOutputFormat):
    """
    SB3's output for TensorBoard, for disks that may become full.

    TensorBoard writes in a thread that ends with the first error, and raises it at every later write. Here that costs
    a warning and the later events.

    :param folder: where the events go
    :raises OSError: the folder cannot be written to at the beginning
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._is_failing = False
        self._previous_hook = threading.excepthook
        threading.excepthook = self._on_thread_error

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """
        :param key_values: what the model's logger dumps
        :param key_excluded: names of outputs that leave a value out
        :param step: environment transitions so far
        """
        if not self._is_failing:
            try:
                super().write(key_values, key_excluded, step)
            except OSError as error:
                self._note(error)

    def close(self) -> None:
        """Write what is left, and close the file."""
        try:
            super().close()
        except OSError as error:
            self._note(error)
        threading.excepthook = self._previous_hook

    def _on_thread_error(self, arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if isinstance(error, OSError) and type(arguments.thread).__module__.startswith("tensorboard."):
            self._note(error)
        else:
            self._previous_hook(arguments)

    def _note(self, error: OSError) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.warning("TensorBoard events cannot be written; training goes on without them: %s", error.strerror)
