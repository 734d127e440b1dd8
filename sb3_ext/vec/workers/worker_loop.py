"""The main loop of a worker process: answer messages until the training process disconnects."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from typing import Any

from sb3_ext.vec.monitor_files import appending_monitor_files
from sb3_ext.vec.process_lifetime import prepare_worker_process
from sb3_ext.vec.workers.environment_group import EnvironmentGroup
from sb3_ext.vec.workers.shared_memory import ArraySpec, SharedBlock, StepArrays
from sb3_ext.vec.workers.worker_messages import Failure, pack, unpack


def run_worker(end: socket.socket, env_fns: bytes | Sequence[Callable[[], Any]], replacement: bool) -> None:
    """
    Run a worker process.

    :param end: of a pair of sockets
    :param env_fns: functions that make the environments, packed unless this process was forked
    :param replacement: whether it replaces a lost worker: ``Monitor`` files are then continued
    """
    prepare_worker_process()
    worker = _Worker(end)
    with suppress(EOFError, OSError):  # the parent has disconnected, or ended
        worker.answer(worker.make, env_fns, replacement)
        worker.serve()
    worker.group.close()


class _Worker:
    def __init__(self, end: socket.socket) -> None:
        self.group = EnvironmentGroup()
        self._socket = end
        self._connection = Connection(os.dup(end.fileno()))

    def serve(self) -> None:
        group, receive = self.group, self._connection.recv_bytes
        while True:
            message = receive()
            if not message:
                self.answer(group.step)
                continue
            name, *arguments = unpack(message)
            self.answer(self.attach if name == "attach" else getattr(group, name), *arguments)

    def answer(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            packed = self._pack(work, work(*arguments))
        except Exception as error:  # the code of any environment runs here
            packed = pack(Failure.describe(self.group.current, error), "failure")
        self._connection.send_bytes(packed)

    def _pack(self, work: Callable[..., Any], result: Any) -> bytes:
        try:
            return pack(result, "answer")
        except TypeError:
            if work == self.group.step:
                for self.group.current, *infos in result:
                    for name, info in zip(("info", "reset_info"), infos, strict=True):
                        pack(info, name)
            elif work == self.group.reset:
                for self.group.current, info in enumerate(result):
                    pack(info, "reset_info")
            raise

    def make(self, env_fns: bytes | Sequence[Callable[[], Any]], replacement: bool) -> Any:
        with appending_monitor_files() if replacement else nullcontext():
            self.group.make(unpack(env_fns) if isinstance(env_fns, bytes) else env_fns)
        if replacement:
            self.group.continue_monitor_files()
        return self.group.describe()

    def attach(self, specs: list[ArraySpec], has_actions: bool, first: int, last: int) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        self.group.arrays = StepArrays.view(SharedBlock(specs, descriptors[0]), has_actions, first, last)
