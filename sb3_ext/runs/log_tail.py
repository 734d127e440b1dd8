"""Read a log that another process is writing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sb3_ext.errors import RunError

_BLOCK_BYTES = 64 * 1024
_POLL_SECONDS = 0.2


class LogTail:
    """
    Read the end of a text file, and the lines that are added later.

    :param path: the file
    :raises RunError: if it cannot be read
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        if not path.is_file():
            raise RunError(f"{path}: the log does not exist")

    def read_last(self, lines: int) -> str:
        """
        Read the last lines. The duration does not depend on the size of the file.

        :param lines: number of lines
        """
        try:
            with self._path.open("rb") as file:
                self._offset = start = file.seek(0, os.SEEK_END)
                content = b""
                # One newline more than lines: it ends the line before them.
                while start > 0 and content.count(b"\n") <= lines:
                    start = max(0, start - _BLOCK_BYTES)
                    file.seek(start)
                    content = file.read(self._offset - start)
        except OSError as error:
            raise RunError(f"{self._path}: cannot be read: {error.strerror}") from error
        return b"".join(content.splitlines(keepends=True)[-lines:] if lines else []).decode(errors="replace")

    def follow(self, growing: Callable[[], bool]) -> Iterator[str]:
        """
        Yield text as it is added to the file.

        :param growing: returns whether more text may be added; once it returns ``False``, the remaining text is
            yielded and the iterator ends
        """
        goes_on = True
        while goes_on:
            goes_on = growing()
            with self._path.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
            self._offset += len(added)
            if added:
                yield added.decode(errors="replace")
            elif goes_on:
                time.sleep(_POLL_SECONDS)
