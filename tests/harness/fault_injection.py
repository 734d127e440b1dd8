"""A disk that fails, or a process that dies, at one chosen file operation."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

_FUNCTIONS = ("fsync", "open", "link", "mkdir", "rename", "replace", "symlink", "unlink", "rmdir", "listdir", "stat")
_TAKE_NO_SPACE = ("unlink", "rmdir", "listdir", "stat", "read")


@dataclass(frozen=True)
class Fault:
    """
    What goes wrong.

    :param at: the number of the operation, counted from 0
    :param crash: die ``before`` or ``after`` it; ``None`` to live on
    :param error: the ``errno`` that it fails with; ``None`` to succeed
    :param lasts: whether every later operation that takes space fails as well, as on a full disk
    """

    at: int
    crash: str | None = None
    error: int | None = None
    lasts: bool = False


class FaultyDisk:
    """
    Counts file operations, and lets one of them go wrong.

    :param fault: which; ``None`` only counts
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self.operations: list[str] = []

    @contextmanager
    def inserted(self) -> Iterator[FaultyDisk]:
        """Until the block ends, every thread of this process has this disk."""
        with ExitStack() as stack:
            for name in _FUNCTIONS:
                stack.enter_context(patch.object(os, name, self._wrap(name, getattr(os, name))))
            faulty_open = self._make_open(io.open)
            stack.enter_context(patch("builtins.open", faulty_open))
            stack.enter_context(patch.object(io, "open", faulty_open))
            yield self

    def perform(self, name: str, operation: Callable[[], Any]) -> Any:
        """
        :param name: what kind of operation it is
        :param operation: does it
        :return: its result
        """
        number = len(self.operations)
        self.operations.append(name)
        fault = self.fault
        if fault is None:
            return operation()
        if fault.crash == "before" and number == fault.at:
            os._exit(9)
        is_struck = number == fault.at or (fault.lasts and number > fault.at and name not in _TAKE_NO_SPACE)
        if fault.error is not None and is_struck:
            raise OSError(fault.error, os.strerror(fault.error))
        try:
            return operation()
        finally:
            if fault.crash == "after" and number == fault.at:
                os._exit(9)

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **keywords: self.perform(name, lambda: function(*arguments, **keywords))

    def _make_open(self, really_open: Callable[..., Any]) -> Callable[..., Any]:
        def faulty_open(path: Any, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
            if "b" not in mode:
                return really_open(path, mode, *arguments, **keywords)
            name = "read" if mode == "rb" else "create"
            raw = self.perform(name, lambda: _FaultyFile(path, mode.replace("b", ""), self))
            if "+" in mode:
                return io.BufferedRandom(raw)
            return io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)

        return faulty_open


class _FaultyFile(io.FileIO):
    def __init__(self, path: Any, mode: str, disk: FaultyDisk) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, content: Any) -> int:
        written: int = self._disk.perform("write", lambda: io.FileIO.write(self, content))
        return written
