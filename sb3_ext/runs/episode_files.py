"""The episodes of a run, read from SB3's ``Monitor`` files as they grow."""

from __future__ import annotations

import math
from pathlib import Path


class EpisodeReturns:
    """
    The return of every finished episode, as far as it is a finite number, in the order in which the episodes ended.

    :param directory: where the ``*.monitor.csv`` files are; it may come into being later
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[Path, _MonitorFile] = {}
        self._returns: list[float] = []

    def read(self) -> list[float]:
        """:return: all returns up to now; what was read before is not read again"""
        for path in self._directory.glob("*.monitor.csv"):
            self._files.setdefault(path, _MonitorFile(path))
        if any(file.has_shrunk() for file in self._files.values()):  # a resumed run cuts what it will do again
            self._files = {path: _MonitorFile(path) for path in self._files}
            self._returns = []
        episodes = [episode for file in self._files.values() for episode in file.read_new()]
        self._returns.extend(episode_return for _, episode_return in sorted(episodes))
        return self._returns


class _MonitorFile:
    """One environment's file: a comment, a header, then ``return,length,seconds`` a line; see SB3's ``Monitor``."""

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
        """:return: a time, that only goes forward, and the return of each episode since the last call"""
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
