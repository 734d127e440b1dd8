"""The user's directory of files that can be made again, such as compiled programs and solved positions."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "SB3_EXT_CACHE"
"""Environment variable with the directory; default: ``sb3_ext`` in the user's cache directory."""


def find_cache_root() -> Path:
    """:return: the directory, which may not exist yet"""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sb3_ext"
