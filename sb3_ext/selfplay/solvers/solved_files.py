"""Solved tables and positions in the user's cache directory."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.atomic import write_bytes
from sb3_ext.cache_directory import find_cache_root

logger = logging.getLogger(__name__)


def load_solved(*key: object) -> dict[str, NDArray[Any]] | None:
    """
    :param key: what identifies the content
    :return: the arrays; ``None`` if they were not saved, or cannot be read
    """
    path = _find_path(key)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except Exception as error:  # NumPy raises many kinds of errors for damaged files
        logger.warning("%s cannot be read and is made again: %s", path, error)
        return None


def save_solved(arrays: Mapping[str, NDArray[Any]], *key: object) -> None:
    """
    Save arrays for :func:`load_solved`. If the directory cannot be written, they are made again next time.

    :param arrays: plain arrays by name
    :param key: what identifies them
    """
    path = _find_path(key)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content.getvalue(), durable=False)
    except OSError as error:
        logger.info("%s cannot be written: %s", path, error.strerror)


def _find_path(key: tuple[object, ...]) -> Path:
    name = hashlib.sha256("\n".join(map(str, key)).encode()).hexdigest()[:32]
    return find_cache_root() / "solved" / f"{name}.npz"
