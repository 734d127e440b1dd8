"""The file that an export writes: checked before the work, written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from sb3_ext.atomic import write_bytes
from sb3_ext.errors import RunError


def validate_output(path: Path, *, force: bool = False) -> None:
    """
    :param path: the file to write
    :param force: replace an existing file
    :raises RunError: if it exists, is a directory, or its directory cannot be written
    """
    if path.is_dir():
        raise RunError(f"{path}: is a directory; give the name of a file")
    if path.exists() and not force:
        raise RunError(f"{path}: exists already; add --force (force=True) to replace it")
    if not path.parent.is_dir():
        raise RunError(f"{path}: cannot be written: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise RunError(f"{path}: cannot be written: no permission to write in {path.parent}")


def write_output(path: Path, content: bytes) -> None:
    """
    :param path: the file
    :param content: its whole content
    :raises RunError: if it cannot be written; an old file is kept then
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
