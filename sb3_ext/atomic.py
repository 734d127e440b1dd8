"""
Write a file or a folder completely or not at all.

Both write under a hidden name beside the target, then rename: a reader sees the old state or the new one, also after
the writer was killed. ``durable`` adds the ``fsync`` calls that guarantee the same after a power loss.

Libraries for this, such as atomicwrites, replace single files and no folders.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sb3_ext.file_lock import holding_lock, is_locked

_IS_WINDOWS = os.name == "nt"


def fsync_path(path: Path) -> None:
    """
    Flush the data of a file, or the entries of a directory, to the disk.

    :param path: an existing file or directory; Windows flushes the entries of directories itself
    """
    if _IS_WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if _IS_WINDOWS else os.O_RDONLY)  # Windows flushes only what can be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """
    Replace a file's content in one step.

    :param path: the file; its directory exists
    :param content: the whole new content
    :param durable: flush the file and its directory entry to the disk before returning
    :raises OSError: if it cannot be written; the old file is kept and no temporary one is left
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if hasattr(os, "fchmod"):  # not on Windows before Python 3.13
                os.fchmod(file.fileno(), 0o666 & ~_read_umask())
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        fsync_path(path.parent)


def write_text(path: Path, content: str, *, durable: bool = True) -> None:
    """:func:`write_bytes` for text, as UTF-8."""
    write_bytes(path, content.encode(), durable=durable)


def write_json(path: Path, content: Any, *, durable: bool = True, indent: int | None = 2) -> None:
    """:func:`write_bytes` for plain data as strict JSON (no NaN)."""
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n", durable=durable)


def overwrite_json(path: Path, content: Any) -> None:
    """
    Write into an existing file, which needs no space on a full disk. Not atomic: only for a last message after
    :func:`write_json` has failed.

    :param path: an existing file, not larger than a block of the disk
    :param content: the whole new content, as for :func:`write_json`
    :raises OSError: if it cannot be written
    """
    with path.open("r+b") as file:
        file.write(f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def write_directory(path: Path) -> Iterator[Path]:
    """
    Fill a hidden sibling directory; when the block ends normally, make it durable and rename it to ``path``.

    :param path: the directory to create; must not exist, or be empty
    :return: the hidden directory to write into
    :raises OSError: if it cannot be written; nothing is left behind
    """
    with create_directory(path) as directory:
        yield directory
        for entry in sorted(directory.rglob("*")):
            if not entry.is_dir():
                fsync_path(entry)


@contextmanager
def create_directory(path: Path) -> Iterator[Path]:
    """
    :func:`write_directory` for a caller that flushes each file itself.

    Meanwhile the hidden directory is locked, so that :func:`remove_abandoned` does not remove it.

    :param path: the directory to create; must not exist, or be empty
    :return: the hidden directory to write into
    :raises OSError: if it cannot be written; nothing is left behind
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with holding_lock(temporary, required=False):
            temporary.chmod(0o777 & ~_read_umask())
            yield temporary
            for entry in sorted(temporary.rglob("*")):
                if entry.is_dir():
                    fsync_path(entry)
            fsync_path(temporary)
            if _IS_WINDOWS and path.is_dir():
                path.rmdir()  # POSIX replaces an empty directory
            temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_path(path.parent)


def find_target(temporary: Path) -> Path | None:
    """
    :param temporary: any path
    :return: the target, if this is the hidden name of an unfinished file or directory; ``None`` for any other path
    """
    match = re.fullmatch(r"\.(.+)\.\w{8}", temporary.name)
    return None if match is None else temporary.with_name(match[1])


def remove_abandoned(directory: Path, targets: Collection[Path] | None = None) -> None:
    """
    Remove unfinished files and directories of killed writers. Those of running writers are kept.

    :param directory: where they wrote
    :param targets: remove only those with these targets; all when left out
    """
    for entry in directory.glob(".*"):
        if targets is not None and find_target(entry) not in targets:
            continue
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink(missing_ok=True)
        elif is_locked(entry) is False:
            shutil.rmtree(entry, ignore_errors=True)


def _read_umask() -> int:
    # os.umask can only be read by setting it, which is not thread-safe; Linux shows it in /proc.
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o022
