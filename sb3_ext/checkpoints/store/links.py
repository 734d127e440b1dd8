"""Change symbolic links atomically."""

from __future__ import annotations

import secrets
from pathlib import Path

from sb3_ext.atomic import fsync_path


def point_link(link: Path, target: str | None) -> None:
    """
    Create, redirect or remove a symbolic link in one step: a reader sees the old target or the new one.

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
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fsync_path(link.parent)
