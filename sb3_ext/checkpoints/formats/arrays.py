"""Arrays in ``.npz`` files without pickles."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]


def write_arrays(file: IO[bytes], arrays: Mapping[str, Array], *, compress: bool = False) -> None:
    """
    Write arrays as ``numpy.savez`` does, but refuse arrays of Python objects.

    :param file: seekable file, open for writing
    :param arrays: arrays by name; names may contain slashes
    :param compress: compress the file, for large arrays with few distinct values
    :raises ValueError: if an array contains Python objects
    """
    compression = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_arrays(file: IO[bytes], *, compressed: bool = False) -> Iterator[tuple[str, Array]]:
    """
    Read one array at a time, so that only one is in memory.

    :param file: file of :func:`write_arrays`, open for reading
    :param compressed: whether the file must be compressed; not for untrusted files
    :return: names and arrays in the order in which they were written
    :raises ValueError: if an array contains Python objects, or the file is damaged
    """
    expected = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.compress_type != expected:
                    raise ValueError(f"{entry.filename} is compressed in an unexpected way")
                with archive.open(entry) as member:
                    yield entry.filename.removesuffix(".npy"), np.lib.format.read_array(member, allow_pickle=False)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, MemoryError) as error:
        raise ValueError(f"damaged arrays: {type(error).__name__}") from error
