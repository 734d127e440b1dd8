"""The episodes of a run, read from SB3's ``Monitor`` files as they grow."""

from __future__ import annotations

import math
from pathlib import Path


class EpisodeReturns:
    """
    The finite returns of all finished episodes, in the order in which the episodes ended.

    :param directory: directory of the ``*.monitor.csv`` files, which need not exist yet
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[Path, _MonitorFile] = {}
        self._returns: list[float] = []

    def read(self) -> list[float]:
        """:return: all returns so far; only new lines are read from the files"""
        for path in self._directory.glob("*.monitor.csv"):
            self._files.setdefault(path, _MonitorFile(path))
        if any(file.has_shrunk() for file in self._files.values()):  # a resumed run truncates the files
            self._files = {path: _MonitorFile(path) for path in self._files}
            self._returns = []
        episodes = [episode for file in self._files.values() for episode in file.read_new()]
        self._returns.extend(episode_return for _, episode_return in sorted(episodes))
        return self._returns


class _MonitorFile:
    """File of one environment: a comment, a header, then lines ``return,length,seconds``; see SB3's ``Monitor``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._earlier_seconds = 0.0
        self._last_seconds = 0.0

    def has_shrunk(self) -> bool:
        try:
            return self._path.stat().st_size < self._offset
        except FileNotFoundError:
            return self._offset > 0

    def read_new(self) -> list[tuple[float, float]]:
        """:return: a time, which never decreases, and the return, of each episode since the last call"""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [episode for line in complete.splitlines() if (episode := self._parse(line)) is not None]

    def _parse(self, line: bytes) -> tuple[float, float] | None:
        fields = line.split(b",")
        try:
            episode_return, seconds = float(fields[0]), float(fields[2])
        except (IndexError, ValueError):  # the comment or the header
            return None
        if not math.isfinite(episode_return):
            return None
        if seconds < self._last_seconds:  # a resumed run counts from zero again
            self._earlier_seconds += self._last_seconds
        self._last_seconds = seconds
        return self._earlier_seconds + seconds, episode_return
