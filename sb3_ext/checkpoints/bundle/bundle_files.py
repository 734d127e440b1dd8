"""Write the files of a bundle: flush and hash each, or share it with an earlier bundle."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path

from sb3_ext.atomic import fsync_path
from sb3_ext.checkpoints.bundle.manifest import FileEntry, is_inside

_CANNOT_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS)
_CHUNK_BYTES = 2**20


class BundleFiles:
    """
    Writes files into a folder and records their entries for the manifest.

    :param folder: the folder
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, FileEntry] = {}

    def write(self, name: str, fill: Callable[[BufferedRandom], object]) -> None:
        """
        Write one file and flush it to the disk.

        :param name: its path in the folder, with ``/``
        :param fill: writes the content into the open, empty file
        :raises OSError: if the disk fails or is full
        """
        path = self._make_place(name)
        with open(path, "x+b") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        self.entries[name] = describe_file(path)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file from bytes; see :meth:`write`."""
        self.write(name, lambda file: file.write(content))

    def share(self, name: str, source: Path, entry: FileEntry, *, may_link: bool) -> None:
        """
        Share a file of an earlier bundle, which never changes.

        :param name: its path in the folder, with ``/``
        :param source: the file there
        :param entry: its entry there
        :param may_link: use a hard link if the file system supports it, instead of a copy
        :raises OSError: if the disk fails or is full
        """
        path = self._make_place(name)
        if not (may_link and _link(source, path)):
            shutil.copyfile(source, path)
            fsync_path(path)
        self.entries[name] = entry

    def open_folder(self, name: str) -> BundleFiles:
        """
        :param name: path of a folder in this one, with ``/``
        :return: writes files into that folder, and records them here
        """
        return _Subfolder(self, name)

    def _make_place(self, name: str) -> Path:
        if not is_inside(name):
            raise ValueError(f"name must be a plain relative path, but got {name!r}")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class _Subfolder(BundleFiles):
    def __init__(self, files: BundleFiles, name: str) -> None:
        super().__init__(files.folder)
        self.entries = files.entries
        self._name = name

    def write(self, name: str, fill: Callable[[BufferedRandom], object]) -> None:
        super().write(f"{self._name}/{name}", fill)

    def share(self, name: str, source: Path, entry: FileEntry, *, may_link: bool) -> None:
        super().share(f"{self._name}/{name}", source, entry, may_link=may_link)


def _link(source: Path, path: Path) -> bool:
    try:
        path.hardlink_to(source)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def describe_file(path: Path) -> FileEntry:
    """
    :param path: an existing file
    :return: its size and the sha256 of its content
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        return FileEntry(size_bytes=file.tell(), sha256=digest.hexdigest())
