"""``logs/training.log``: log lines of this package and Python's warnings, with UTC times."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from sb3_ext.errors import RemoteTraceback

_LOGGER = "sb3_ext"
_WARNINGS_LOGGER = "py.warnings"


class _LogFile(logging.FileHandler):
    """A file handler for a disk that may be full: lines that cannot be written are dropped; the console shows them."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class TrainingLog:
    """
    Write the log of ``sb3_ext`` (from INFO) and Python's warnings to a file until :meth:`close`.

    :param path: the file; its directory is created, and an existing file is appended to
    :raises OSError: if the file cannot be opened
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._handler = _LogFile(path, encoding="utf-8")
        formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self._handler.setFormatter(formatter)
        self._logger = logging.getLogger(_LOGGER)
        self._previous_level = self._logger.level
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)
        for name in (_LOGGER, _WARNINGS_LOGGER):
            logging.getLogger(name).addHandler(self._handler)
        show_before = warnings.showwarning
        logging.captureWarnings(True)
        self._has_captured_warnings = warnings.showwarning is not show_before

    def write_traceback(self, message: str, error: BaseException) -> None:
        """
        Write an error with its traceback only to the file; the console shows a short message. For an error in another
        process, this is the traceback in that process.

        :param message: the line above the traceback
        :param error: an exception that was raised
        """
        information: tuple[Any, Any, Any] | None = (type(error), error, error.__traceback__)
        if isinstance(error.__cause__, RemoteTraceback):
            message, information = f"{message}\n{error.__cause__.text.rstrip()}", None
        self._handler.handle(self._logger.makeRecord(_LOGGER, logging.ERROR, "", 0, message, (), information))

    def close(self) -> None:
        """Close the file and restore the previous logging configuration."""
        if self._has_captured_warnings:
            logging.captureWarnings(False)
        for name in (_LOGGER, _WARNINGS_LOGGER):
            logging.getLogger(name).removeHandler(self._handler)
        self._logger.setLevel(self._previous_level)
        self._handler.close()
