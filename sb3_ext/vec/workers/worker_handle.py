"""One worker process, as the training process sees it."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socket
import struct
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from sb3_ext.vec.process_lifetime import shield_new_processes
from sb3_ext.vec.workers.worker_errors import WorkerLostError
from sb3_ext.vec.workers.worker_loop import run_worker
from sb3_ext.vec.workers.worker_messages import unpack

_EXIT_SECONDS = 1.0
_SLICE_MILLISECONDS = 500.0
_LEAST_START_SECONDS = 120.0  # a new process imports a lot
_MAKING = "making its environments"


class WorkerHandle:
    """
    Starts a process, talks to it, and ends it.

    :param index: of the worker
    :param ranks: of its environments
    :param env_fns: functions that make them, packed unless the process is forked
    :param start_method: as for :class:`~sb3_ext.vec.workers.worker_vec_env.WorkerVecEnv`
    :param timeout_seconds: within which each answer has to come; ``None`` waits for ever
    """

    def __init__(
        self,
        index: int,
        ranks: range,
        env_fns: bytes | Sequence[Callable[[], Any]],
        *,
        start_method: str,
        timeout_seconds: float | None,
    ) -> None:
        self.index = index
        self.ranks = ranks
        self._env_fns = env_fns
        self._context: Any = multiprocessing.get_context(start_method)
        self._timeout_seconds = timeout_seconds
        self._process: Any = None
        self._is_asked = False
        self._task = ""
        self._asked_at = 0.0

    @property
    def place(self) -> str:
        """Which worker, with which environments."""
        first, last = self.ranks[0], self.ranks[-1]
        return f"worker {self.index} (environment{f's {first} to {last}' if last > first else f' {first}'})"

    @property
    def is_started(self) -> bool:
        """Whether there is, or was, a process."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process."""
        pid: int = self._process.pid
        return pid

    def start(self, *, is_replacement: bool = False) -> None:
        """
        Start the process; its first answer says what its environments are.

        :param is_replacement: it takes the place of one that was lost
        """
        self._socket, end = socket.socketpair()
        self._limit_waiting()
        self._connection = Connection(os.dup(self._socket.fileno()))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        with end, shield_new_processes(), warnings.catch_warnings():
            # Python's own of a fork with threads, since 3.12: WorkerVecEnv has given one.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = self._context.Process(
                target=run_worker,
                args=(end, self._env_fns, is_replacement),
                name=f"worker-{self.index}",
                daemon=True,
            )
            process.start()
        self._process = process
        self._note_question(_MAKING)

    def send(self, message: bytes, task: str) -> None:
        """
        Ask for something. A worker that is lost shows when its answer is received.

        :param message: packed
        :param task: what is asked for, for errors
        """
        if self._is_asked:
            with suppress(WorkerLostError):
                self.receive()  # the answer to what was broken off
        with suppress(OSError):
            self._connection.send_bytes(message)
        self._note_question(task)

    def send_descriptor(self, descriptor: int) -> None:
        """
        :param descriptor: of a file that the message before needs
        """
        with suppress(OSError):
            socket.send_fds(self._socket, [b"0"], [descriptor])

    def receive(self) -> Any:
        """
        :return: the answer, or how it failed
        :raises WorkerLostError: if the process has ended, or does not answer in time: it is ended then
        """
        if self._connection.closed:
            raise WorkerLostError(f"{self.place} {self._describe_end()}")
        if not self._wait_for_answer():
            raise self._give_up()
        try:
            packed = self._connection.recv_bytes()
        except BlockingIOError:
            raise self._give_up() from None
        except (EOFError, OSError):
            self._process.join(_EXIT_SECONDS)
            self.kill()
            raise WorkerLostError(f"{self.place} {self._describe_end()} while {self._task}") from None
        except BaseException:  # an interrupt: half of the answer may be lost
            self.kill()
            raise
        self._is_asked = False
        return unpack(packed)

    def hang_up(self) -> None:
        """Tell the process to close its environments and end, if it can still listen."""
        with suppress(OSError):  # of a process that is gone
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._socket.close()

    def end(self, deadline: float) -> None:
        """
        Wait for the end of the process after :meth:`hang_up`, then bring it about.

        :param deadline: how long to wait, in terms of :func:`time.monotonic`
        """
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_EXIT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self.hang_up()
        self._process.kill()
        self._process.join()

    def _note_question(self, task: str) -> None:
        self._is_asked, self._task, self._asked_at = True, task, time.monotonic()

    def _wait_for_answer(self) -> bool:
        """:return: whether there is one in time"""
        while True:
            remaining = self._find_remaining_milliseconds()
            # In slices: a signal that comes just before poll() begins to wait does not end the wait.
            slice_ms = _SLICE_MILLISECONDS if remaining is None else min(remaining, _SLICE_MILLISECONDS)
            if self._poll.poll(slice_ms):
                return True
            if remaining is not None and remaining <= slice_ms:
                return False

    def _find_remaining_milliseconds(self) -> float | None:
        if self._timeout_seconds is None:
            return None
        is_making = self._task == _MAKING
        seconds = max(self._timeout_seconds, _LEAST_START_SECONDS) if is_making else self._timeout_seconds
        return max(0.0, self._asked_at + seconds - time.monotonic()) * 1000

    def _limit_waiting(self) -> None:
        """A process may be stopped in the midst of an answer, or with a full buffer."""
        if self._timeout_seconds is not None:
            seconds = max(self._timeout_seconds, 0.001)
            timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, timeval)

    def _give_up(self) -> WorkerLostError:
        self.kill()
        waited_seconds = time.monotonic() - self._asked_at
        return WorkerLostError(
            f"{self.place} hangs: it has been {self._task} for {waited_seconds:.1f} s, which is more than "
            f"step_timeout_seconds allows"
        )

    def _describe_end(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"
