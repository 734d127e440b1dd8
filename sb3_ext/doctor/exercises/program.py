"""Run ``sb3-ext`` in a process of its own, which ends with the block that started it."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from sb3_ext.cache_directory import CACHE_VARIABLE
from sb3_ext.errors import ExerciseError
from sb3_ext.launching.task import Task, TaskEnd

TIMEOUT_SECONDS = 600.0
_POLL_SECONDS = 0.002
_GONE_SECONDS = 20.0
_SHOWN_LINES = 12
_PACKAGE_ROOT = Path(__file__).parents[3]


class Program:
    """
    One process of the command line. It is killed with all its processes at the end of the ``with`` block.

    :param directory: working directory; temporary files are beside it
    :param arguments: after ``sb3-ext``
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._task = Task(" ".join(("sb3-ext", *arguments)), ("-m", "sb3_ext", *arguments), directory / "output.log")
        self._directory = directory

    def __enter__(self) -> Program:
        with self._task.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._task.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=_make_environment(self._directory),
                start_new_session=True,  # Ctrl+C reaches only this process, which then ends that one
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        family = self.list_children()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, timeout=_GONE_SECONDS)

    def list_children(self) -> list[psutil.Process]:
        """:return: processes that it has started, and theirs"""
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def wait_for_file(self, pattern: str) -> bool:
        """
        Wait until a file exists.

        :param pattern: as for ``Path.glob``, below the working directory
        :return: whether it exists before the process ends
        :raises ExerciseError: if neither happens in time
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not any(self._directory.glob(pattern)):
            if self.has_ended():
                return False
            if time.monotonic() > deadline:
                raise self._make_error(f"has not begun to train within {TIMEOUT_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        return True

    def kill(self) -> None:
        """
        Kill the process as by ``kill -9``.

        :raises ExerciseError: if processes that it has started do not end with it
        """
        children = self.list_children()
        self._process.kill()
        self._process.wait()
        _, left = psutil.wait_procs(children, timeout=_GONE_SECONDS)
        if left:
            raise self._make_error(f"was killed, but {len(left)} of its processes are still running")

    def wait(self) -> None:
        """
        Wait for the end.

        :raises ExerciseError: if the exit status is not 0, or the process does not end in time
        """
        try:
            status = self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._make_error(f"has not ended within {TIMEOUT_SECONDS:.0f} s") from None
        if status != 0:
            raise self._make_error(f"ended: {TaskEnd(self._task, status).explanation}")

    def _make_error(self, what: str) -> ExerciseError:
        return ExerciseError(f"`{self._task.name}` {what}", self._task.read_output(_SHOWN_LINES))


def run_program(directory: Path, *arguments: str) -> None:
    """
    Run ``sb3-ext`` to its end.

    :param directory: working directory
    :param arguments: after ``sb3-ext``
    :raises ExerciseError: if it fails
    """
    with Program(directory, *arguments) as program:
        program.wait()


def _make_environment(directory: Path) -> dict[str, str]:
    # A killed process leaves temporary files. The name is short: sockets of multiprocessing allow about 100 characters.
    temporary = directory.parent / "t"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, CACHE_VARIABLE: str(directory / "cache"), "MPLBACKEND": "agg"}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    environment.setdefault("SDL_VIDEODRIVER", "dummy")
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    if str(_PACKAGE_ROOT) not in installed:  # a clone, which may only be on the path of this process
        paths = [str(_PACKAGE_ROOT), str(_PACKAGE_ROOT / "envs"), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment
