"""Change symbolic links atomically."""

from __future__ import annotations

import errno
import logging
import secrets
from pathlib import Path

from sb3_ext.atomic import fsync_path

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_PRIVILEGE = 1314  # Windows lets only administrators and developers create symbolic links


def point_link(link: Path, target: str | None) -> None:
    """
    Create, redirect or remove a symbolic link in one step: a reader sees the old target or the new one.

    Does nothing where the file system has no symbolic links: nothing but the user's convenience depends on them.

    :param link: the link
    :param target: a name in the same directory; ``None`` removes the link
    :raises OSError: if the disk fails or is full; the link is then unchanged
    """
    if target is None:
        link.unlink(missing_ok=True)
        return
    if link.is_symlink() and str(link.readlink()) == target:
        return
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    try:
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _UNSUPPORTED or getattr(error, "winerror", None) == _NO_PRIVILEGE:
            logger.debug("%s: no link, since symbolic links cannot be created here: %s", link, error)
            return
        raise
    fsync_path(link.parent)
