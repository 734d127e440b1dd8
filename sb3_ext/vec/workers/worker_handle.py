"""Control one worker process from the training process."""

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
from sb3_ext.vec.workers.shared_memory import ArraySpec, SharedBlock
from sb3_ext.vec.workers.worker_errors import WorkerLostError
from sb3_ext.vec.workers.worker_loop import run_worker
from sb3_ext.vec.workers.worker_messages import pack, unpack

_EXIT_SECONDS = 1.0
_SLICE_MILLISECONDS = 500.0
LEAST_START_SECONDS = 120.0  # a new process imports a lot
_MAKING = "making its environments"


class WorkerHandle:
    """
    Start a worker process, exchange messages with it, and end it.

    :param index: of the worker
    :param ranks: of its environments
    :param env_fns: functions that make them, packed unless the process is forked
    :param start_method: as for :class:`~sb3_ext.vec.workers.worker_vec_env.WorkerVecEnv`
    :param timeout_seconds: for each answer; ``None`` waits for ever
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
        self._is_waiting = False
        self._task = ""
        self._sent_at = 0.0

    @property
    def place(self) -> str:
        """The worker and its environments, for messages."""
        return name_worker(self.index, self.ranks)

    @property
    def is_started(self) -> bool:
        """Whether a process was started."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id."""
        pid: int = self._process.pid
        return pid

    def start(self, *, replacement: bool = False) -> None:
        """
        Start the process. Its first answer describes its environments.

        :param replacement: whether it replaces a lost one
        """
        self._socket, end = socket.socketpair()
        self._limit_waiting()
        self._connection = Connection(os.dup(self._socket.fileno()))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        with end, shield_new_processes(), warnings.catch_warnings():
            # Python 3.12 warns of a fork with threads; WorkerVecEnv has already done so.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = self._context.Process(
                target=run_worker,
                args=(end, self._env_fns, replacement),
                name=f"worker-{self.index}",
                daemon=True,
            )
            process.start()
        self._process = process
        self._note_task(_MAKING)

    def send(self, message: bytes, task: str) -> None:
        """
        Send a message. That a worker is lost is found when its answer is received.

        :param message: packed
        :param task: what the worker does, for errors
        """
        if self._is_waiting:
            with suppress(WorkerLostError):
                self.receive()  # the answer of an interrupted task
        with suppress(OSError):
            self._connection.send_bytes(message)
        self._note_task(task)

    def attach(self, block: SharedBlock, specs: list[ArraySpec], has_actions: bool) -> None:
        """
        :param block: shared memory for actions and results
        :param specs: of its arrays
        :param has_actions: whether actions are the first array
        """
        self.send(pack(("attach", specs, has_actions, self.ranks.start, self.ranks.stop), "attach"), "attaching")
        with suppress(OSError):
            socket.send_fds(self._socket, [b"0"], [block.fileno()])

    def receive(self) -> Any:
        """
        :return: the answer, or a ``Failure``
        :raises WorkerLostError: if the process has ended, or does not answer in time and is killed
        """
        if self._connection.closed:
            raise WorkerLostError(f"{self.place} {self._describe_end()}")
        if not self._wait_for_answer():
            raise self._kill_hanging()
        try:
            packed = self._connection.recv_bytes()
        except BlockingIOError:
            raise self._kill_hanging() from None
        except (EOFError, OSError):
            self._process.join(_EXIT_SECONDS)
            self.kill()
            raise WorkerLostError(f"{self.place} {self._describe_end()} while {self._task}") from None
        except BaseException:  # an interrupt: a part of the answer may be lost
            self.kill()
            raise
        self._is_waiting = False
        return unpack(packed)

    def disconnect(self) -> None:
        """Close the connection, so that the process closes its environments and ends."""
        with suppress(OSError):  # of a process that is gone
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._socket.close()

    def end(self, deadline: float) -> None:
        """
        Wait for the end of the process after :meth:`disconnect`, then kill it.

        :param deadline: end of the wait, in terms of :func:`time.monotonic`
        """
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_EXIT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the process, whatever it does."""
        self.disconnect()
        self._process.kill()
        self._process.join()

    def _note_task(self, task: str) -> None:
        self._is_waiting, self._task, self._sent_at = True, task, time.monotonic()

    def _wait_for_answer(self) -> bool:
        """:return: whether an answer came in time"""
        while True:
            remaining = self._compute_remaining_milliseconds()
            # In slices: a signal that comes just before poll() begins to wait does not end the wait.
            slice_ms = _SLICE_MILLISECONDS if remaining is None else min(remaining, _SLICE_MILLISECONDS)
            if self._poll.poll(slice_ms):
                return True
            if remaining is not None and remaining <= slice_ms:
                return False

    def _compute_remaining_milliseconds(self) -> float | None:
        if self._timeout_seconds is None:
            return None
        is_making = self._task == _MAKING
        seconds = max(self._timeout_seconds, LEAST_START_SECONDS) if is_making else self._timeout_seconds
        return max(0.0, self._sent_at + seconds - time.monotonic()) * 1000

    def _limit_waiting(self) -> None:
        """Bound reads and writes: a process may be suspended in the middle of an answer, or with a full buffer."""
        if self._timeout_seconds is not None:
            seconds = max(self._timeout_seconds, 0.001)
            timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, timeval)

    def _kill_hanging(self) -> WorkerLostError:
        self.kill()
        waited_seconds = time.monotonic() - self._sent_at
        return WorkerLostError(
            f"{self.place} hangs: it has been {self._task} for {waited_seconds:.1f} s, which is more than "
            f"step_timeout_seconds allows"
        )

    def _describe_end(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"


def name_worker(index: int, ranks: range) -> str:
    """
    :param index: of a worker
    :param ranks: of its environments
    :return: the worker and its environments, for messages
    """
    first, last = ranks[0], ranks[-1]
    return f"worker {index} (environment{f's {first} to {last}' if last > first else f' {first}'})"
