"""
Continue the CSV files of SB3's ``Monitor`` and ``VecMonitor``, one line an episode, across a resume.

A resumed run opens them with ``override_existing=False``: SB3's default empties them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common import monitor as monitor_module
from stable_baselines3.common.monitor import Monitor, ResultsWriter
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

logger = logging.getLogger(__name__)


class FullDiskResultsWriter(ResultsWriter):
    """
    Write episodes to a disk that may be full: the first kilobytes that do not fit stay in the buffer until there is
    room.

    :param writer: the writer that it replaces
    """

    def __init__(self, writer: ResultsWriter) -> None:
        self.file_handler = writer.file_handler
        self.logger = writer.logger
        self._is_failing = False

    def write_row(self, epinfo: dict[str, float]) -> None:
        """
        :param epinfo: the episode's return, length and time
        """
        try:
            super().write_row(epinfo)
        except OSError as error:
            if not self._is_failing:
                logger.warning("cannot write %s; training continues: %s", self.file_handler.name, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False

    def close(self) -> None:
        """Close the file; rows that did not fit are lost."""
        with suppress(OSError):
            super().close()


def tolerate_full_disk(monitor: Monitor[Any, Any] | VecMonitor | None) -> None:
    """
    Let training continue when a monitor cannot write an episode.

    :param monitor: any monitor; without a file, nothing changes
    """
    writer = None if monitor is None else monitor.results_writer
    if monitor is not None and writer is not None and not isinstance(writer, FullDiskResultsWriter):
        monitor.results_writer = FullDiskResultsWriter(writer)


@dataclass(frozen=True)
class MonitorFile:
    """
    :param path: the file
    :param size_bytes: its size
    """

    path: str
    size_bytes: int


def get_monitor_file(monitor: Monitor[Any, Any] | VecMonitor) -> MonitorFile | None:
    """
    :param monitor: any monitor
    :return: its file, ``None`` if it writes none
    """
    if monitor.results_writer is None:
        return None
    path = monitor.results_writer.file_handler.name
    return MonitorFile(path, Path(path).stat().st_size)


def cut_monitor_file(monitor: Monitor[Any, Any] | VecMonitor, size_bytes: int) -> MonitorFile | None:
    """
    Remove the episodes after a checkpoint from a file, and continue the file's clock.

    :param monitor: any monitor
    :param size_bytes: the file's size at the checkpoint
    :return: the file as it is now, shorter than ``size_bytes`` if lines were lost; ``None`` if there is none
    """
    if monitor.results_writer is None:
        return None
    handler = monitor.results_writer.file_handler
    path = Path(handler.name)
    if path.stat().st_size > size_bytes:
        os.truncate(path, size_bytes)
    handler.seek(0, os.SEEK_END)
    with path.open() as file:
        first_line = file.readline()
    if first_line.startswith("#"):
        monitor.t_start = json.loads(first_line[1:])["t_start"]
    return get_monitor_file(monitor)


def make_vec_monitor(env: VecEnv, path: Path | None = None, resumed: bool = False) -> VecMonitor:
    """
    :param env: environments
    :param path: the file of their episodes, as ``VecMonitor`` takes it; ``None`` writes none
    :param resumed: append to the file instead of replacing it
    :return: the environments in a ``VecMonitor``
    """
    monitor = VecMonitor(env, None if path is None or resumed else str(path))
    if path is not None and resumed:
        continue_vec_monitor(monitor, path)
    return monitor


def continue_vec_monitor(monitor: VecMonitor, path: Path) -> None:
    """
    Let a ``VecMonitor`` append to an existing file; its constructor, unlike that of ``Monitor``, can only start a new
    one.

    :param monitor: made without a file
    :param path: the file, with or without ``.monitor.csv``; created if it is missing
    """
    is_whole = path.name.endswith(Monitor.EXT)
    file = path if is_whole else path.with_name(f"{path.name}.{Monitor.EXT}")
    monitor.results_writer = ResultsWriter(
        str(file), {"t_start": monitor.t_start}, monitor.info_keywords, override_existing=not file.exists()
    )


@contextmanager
def appending_monitor_files() -> Iterator[None]:
    """
    Make every ``Monitor`` that is made inside append to its file, whatever its ``override_existing`` says.

    Needed when a worker process replaces a lost one: the functions that make its environments would empty the files.
    """

    class AppendingWriter(ResultsWriter):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **{**keywords, "override_existing": False})

    monitor_module.ResultsWriter = AppendingWriter  # type: ignore[misc]
    try:
        yield
    finally:
        monitor_module.ResultsWriter = ResultsWriter  # type: ignore[misc]
