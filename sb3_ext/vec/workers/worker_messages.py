"""
Messages between the training process and its workers, through a socket.

A message is the name of a method of :class:`~sb3_ext.vec.workers.environment_group.EnvironmentGroup` with its
arguments. The answer is what the method returns, or a :class:`Failure`. All are pickled but ``NOTHING``: the message of
a step whose actions are in shared memory, and the answer if there are no infos.
"""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import cloudpickle  # type: ignore[import-untyped]

from sb3_ext.errors import RemoteTraceback
from sb3_ext.vec.unpicklable import find_unpicklable
from sb3_ext.vec.workers.worker_errors import WorkerError

NOTHING = b""

_OWN_FOLDER = Path(__file__).parent


def pack(value: Any, name: str) -> bytes:
    """
    :param value: any object
    :param name: of the object, for the error
    :return: for :func:`unpack`
    :raises TypeError: if it cannot be pickled; names the part
    """
    if value is None:
        return NOTHING
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # local functions and classes need cloudpickle
        try:
            packed: bytes = cloudpickle.dumps(value)
        except Exception as error:
            part = find_unpicklable(value, name)
            raise TypeError(f"{part} cannot be sent to another process: {error}") from error
        return packed


def unpack(packed: bytes) -> Any:
    """
    :param packed: by :func:`pack`
    :return: a copy of the value
    """
    return pickle.loads(packed) if packed else None


@dataclass(frozen=True)
class Failure:
    """
    An exception in a worker.

    :param position: of the environment in its worker
    :param summary: its class and message
    :param place: where it was raised, as ``file.py:12``
    :param traceback: as text, from the environment on
    :param error: pickled, ``None`` if it cannot be
    """

    position: int
    summary: str
    place: str
    traceback: str
    error: bytes | None

    @classmethod
    def describe(cls, position: int, error: Exception) -> Failure:
        """
        :param position: of the environment in its worker
        :param error: being handled
        :return: the failure, for the training process
        """
        try:
            pickled = pickle.dumps(error)
            pickle.loads(pickled)
        except Exception:  # the code of any class runs here
            pickled = None
        begin = _skip_own_frames(error.__traceback__)
        frame = traceback.extract_tb(begin)[-1]
        text = "".join(traceback.format_exception(type(error), error, begin))
        return cls(position, f"{type(error).__name__}: {error}", f"{frame.filename}:{frame.lineno}", text, pickled)

    def raise_error(self, place: str, *, as_itself: bool) -> NoReturn:
        """
        :param place: which environment, in which worker
        :param as_itself: raise the exception that the environment raised, if possible
        :raises WorkerError: or the exception itself, with the traceback of the worker
        """
        cause = RemoteTraceback(f"{place}:\n{self.traceback}", self.place)
        error = self._load_error() if as_itself else None
        raise error or WorkerError(f"{place} failed: {self.summary}") from cause

    def _load_error(self) -> Exception | None:
        try:
            error = pickle.loads(self.error or b"")
        except Exception:  # its class may exist in the worker only
            return None
        return error if isinstance(error, Exception) else None


def _skip_own_frames(whole: TracebackType | None) -> TracebackType | None:
    """Drop the frames above the environment; keep all if the error is not of an environment."""
    begin = whole
    while begin is not None and Path(begin.tb_frame.f_code.co_filename).parent == _OWN_FOLDER:
        begin = begin.tb_next
    return begin or whole
