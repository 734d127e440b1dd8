"""The main loop of a worker process: answer messages until the training process disconnects."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
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
    connection = Connection(os.dup(end.fileno()))

    def attach(specs: list[ArraySpec], has_actions: bool, first: int, last: int) -> None:
        _, descriptors, _, _ = socket.recv_fds(end, 1, 1)
        service.group.arrays = StepArrays.view(SharedBlock(specs, descriptors[0]), has_actions, first, last)

    service = WorkerService({"attach": attach})
    with suppress(EOFError, OSError):  # the parent has disconnected, or ended
        connection.send_bytes(service.make(env_fns, replacement))
        while True:
            connection.send_bytes(service.respond(connection.recv_bytes()))
    service.group.close()


class WorkerService:
    """
    Answer messages with the environments of a worker.

    :param methods: answer messages that the group does not: what makes its arrays
    :ivar group: the environments
    """

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self.group = EnvironmentGroup()
        self._methods = methods

    def make(self, env_fns: bytes | Sequence[Callable[[], Any]], replacement: bool) -> bytes:
        """
        :param env_fns: functions that make the environments, perhaps packed
        :param replacement: whether to continue ``Monitor`` files
        :return: the answer
        """
        return self._answer(self._make, env_fns, replacement)

    def respond(self, message: bytes) -> bytes:
        """
        :param message: see :mod:`sb3_ext.vec.workers.worker_messages`
        :return: the answer
        """
        if not message:
            return self._answer(self.group.step)
        name, *arguments = unpack(message)
        return self._answer(self._methods.get(name) or getattr(self.group, name), *arguments)

    def _answer(self, work: Callable[..., Any], *arguments: Any) -> bytes:
        try:
            return self._pack(work, work(*arguments))
        except Exception as error:  # the code of any environment runs here
            return pack(Failure.describe(self.group.current, error), "failure")

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

    def _make(self, env_fns: bytes | Sequence[Callable[[], Any]], replacement: bool) -> Any:
        with appending_monitor_files() if replacement else nullcontext():
            self.group.make(unpack(env_fns) if isinstance(env_fns, bytes) else env_fns)
        if replacement:
            self.group.continue_monitor_files()
        return self.group.describe()
