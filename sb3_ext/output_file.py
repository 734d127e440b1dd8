"""A file or directory that a command writes: checked before the work, written completely or not at all."""

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
    try:
        if path.is_dir():
            raise RunError(f"{path}: is a directory; give the name of a file")
        if path.exists() and not force:
            raise RunError(f"{path}: exists already; add --force to replace it")
        if not path.parent.is_dir():
            raise RunError(f"{path}: cannot be written: there is no directory {path.parent}")
    except OSError as error:  # a name that is too long, or a directory that cannot be searched
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise RunError(f"{path}: cannot be written: no permission to write in {path.absolute().parent}")


def validate_output_directory(path: Path) -> None:
    """
    :param path: a directory to write into; it is created if it is missing, with its parents
    :raises RunError: if it is a file, or cannot be created or written
    """
    try:
        place = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
        is_directory = place.is_dir()
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    if not is_directory:
        raise RunError(f"{path}: cannot be written: {place} is not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{path}: cannot be written: no permission to write in {place}")


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
