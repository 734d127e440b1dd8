"""Errors of a disk that is full, over its quota, read-only or broken."""

from __future__ import annotations

import errno

_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE}


def find_disk_error(error: BaseException | None) -> OSError | None:
    """
    Find the error of a disk that has caused an error.

    :param error: any error, with its causes
    :return: the disk's error; ``None`` if another reason has caused the error
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NUMBERS:
            return error
        error = error.__cause__
    return None


def describe_disk_error(error: OSError) -> str:
    """
    :param error: from :func:`find_disk_error`
    :return: a line, such as ``runs/a/x.json: cannot be written: No space left on device``
    """
    reason = f"cannot be written: {error.strerror}"
    return f"{error.filename}: {reason}" if isinstance(error.filename, str) else f"a file {reason}"
