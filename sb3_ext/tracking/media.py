"""Files of a run that services show apart from others: videos, and results of a league."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_VIDEO_SUFFIXES = (".gif", ".mp4")
_LEAGUE_SUFFIXES = (".json", ".png", ".svg")


def find_media(root: Path) -> list[Path]:
    """
    :param root: the run directory
    :return: its videos, the files in ``videos/``, and ``league*.json``, ``.png`` and ``.svg``
    """
    files = [path for path in (*root.glob("*.*"), *(root / "videos").glob("*")) if path.is_file()]
    return sorted(path for path in files if find_media_kind(path.relative_to(root).as_posix()) is not None)


def find_media_kind(name: str) -> str | None:
    """
    :param name: path of a file below the run directory, with ``/``
    :return: ``videos`` or ``league``; ``None`` for other files
    """
    if is_video(name) or name.startswith("videos/"):
        return "videos"
    return "league" if name.startswith("league") and PurePosixPath(name).suffix in _LEAGUE_SUFFIXES else None


def is_video(name: str) -> bool:
    """
    :param name: path of a file
    :return: whether it is a video that services play
    """
    return PurePosixPath(name).suffix.lower() in _VIDEO_SUFFIXES
