"""Control all worker processes: send them messages at the same time, replace lost ones, end all within seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import cloudpickle  # type: ignore[import-untyped]

from sb3_ext.errors import ConfigError
from sb3_ext.vec.unpicklable import find_unpicklable
from sb3_ext.vec.workers.shared_memory import ArraySpec, SharedBlock
from sb3_ext.vec.workers.worker_errors import WorkerLostError
from sb3_ext.vec.workers.worker_messages import Failure, pack

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0

Result = TypeVar("Result")


class Handle(Protocol):
    """What a pool needs of each worker; see :class:`~sb3_ext.vec.workers.worker_handle.WorkerHandle`."""

    index: int
    ranks: range

    @property
    def is_started(self) -> bool: ...

    @property
    def pid(self) -> int: ...

    def start(self, *, replacement: bool = False) -> None: ...

    def attach(self, block: SharedBlock, specs: list[ArraySpec], has_actions: bool) -> None: ...

    def send(self, message: bytes, task: str) -> None: ...

    def receive(self) -> Any: ...

    def disconnect(self) -> None: ...

    def end(self, deadline: float) -> None: ...


class WorkerPool:
    """
    Workers with as many environments each.

    :param handles: control one worker each
    :param num_envs: number of environments in all
    :param max_restarts: how many lost workers are replaced; another loss is an error
    :ivar handles: the workers
    :ivar seed: of the first environment; seeds of replaced environments follow from it
    :ivar replaced: reset infos of the workers that were replaced since the last step, by index
    """

    def __init__(self, handles: Sequence[Handle], num_envs: int, *, max_restarts: int) -> None:
        self.handles = handles
        self.seed: int | None = None
        self.replaced: dict[int, list[dict[str, Any]]] = {}
        self._num_envs = num_envs
        self._max_restarts = max_restarts
        self._restarts = 0
        self._shared: tuple[SharedBlock, list[ArraySpec], bool] | None = None

    def start(self) -> list[Any]:
        """
        :return: of each worker, what ``EnvironmentGroup.describe`` returns
        """
        for handle in self.handles:
            handle.start()
        return _do_for_each(self.handles, lambda handle: self._receive(handle, as_itself=True))

    def share(self, block: SharedBlock, specs: list[ArraySpec], has_actions: bool) -> None:
        """
        :param block: shared memory for the results of the workers
        :param specs: of its arrays
        :param has_actions: whether actions are the first array
        """
        self._shared = block, specs, has_actions
        _do_for_each(self.handles, self._attach)

    def send_steps(self, messages: Iterable[bytes]) -> None:
        """
        :param messages: one each
        """
        for handle, message in zip(self.handles, messages, strict=True):
            if handle.index not in self.replaced:
                handle.send(message, "stepping")

    def receive_steps(self) -> list[Any]:
        """
        :return: an answer each; to be ignored for a worker in :attr:`replaced`
        :raises WorkerError: if an environment failed, or a worker is lost and may not be replaced
        """
        return _do_for_each(self.handles, self._receive_step)

    def ask(self, questions: Sequence[tuple[int, Any]], task: str, *, as_itself: bool = True) -> list[Any]:
        """
        :param questions: index of a worker and its message, one a worker
        :param task: what the workers do, for errors
        :param as_itself: raise the exception that an environment raises, rather than a ``WorkerError``
        :return: the answers
        :raises WorkerError: if an environment failed, or a worker is lost and may not be replaced
        """
        asked = [(self.handles[index], pack(message, task)) for index, message in questions]
        for handle, packed in asked:
            handle.send(packed, task)

        def receive(question: tuple[Handle, bytes]) -> Any:
            handle, packed = question
            try:
                return self._receive(handle, as_itself=as_itself)
            except WorkerLostError as error:
                self._replace(handle, error)
                handle.send(packed, task)
                return self._receive(handle, as_itself=as_itself)

        return _do_for_each(asked, receive)

    def stop(self) -> None:
        """Disconnect all workers, and kill those that do not end within seconds."""
        started = [handle for handle in self.handles if handle.is_started]
        for handle in started:
            handle.disconnect()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for handle in started:
            handle.end(deadline)
        if self._shared is not None:
            self._shared[0].close()

    def _receive(self, handle: Handle, *, as_itself: bool = False) -> Any:
        answer = handle.receive()
        if isinstance(answer, Failure):
            rank = handle.ranks[answer.position]
            answer.raise_error(f"environment {rank} (in worker {handle.index})", as_itself=as_itself)
        return answer

    def _receive_step(self, handle: Handle) -> Any:
        if handle.index in self.replaced:
            return None
        try:
            return self._receive(handle)
        except WorkerLostError as error:
            self._replace(handle, error)
            return None

    def _attach(self, handle: Handle) -> None:
        if self._shared is None:
            return
        handle.attach(*self._shared)
        self._receive(handle)

    def _replace(self, handle: Handle, error: WorkerLostError) -> None:
        while self._restarts < self._max_restarts:
            self._restarts += 1
            logger.warning(
                "%s; replacing it (%d of at most %d) and truncating its episodes",
                error,
                self._restarts,
                self._max_restarts,
            )
            try:
                self.replaced[handle.index] = self._restart(handle)
                return
            except WorkerLostError as another:
                error = another
        raise error

    def _restart(self, handle: Handle) -> list[dict[str, Any]]:
        handle.start(replacement=True)
        self._receive(handle, as_itself=True)
        self._attach(handle)
        shift = self._restarts * self._num_envs  # other episodes than those of the lost worker
        seeds = [None if self.seed is None else self.seed + shift + rank for rank in handle.ranks]
        handle.send(pack(("reset", seeds, [{} for _ in seeds]), "reset"), "resetting")
        infos: list[dict[str, Any]] = self._receive(handle)
        return infos


def split_ranks(num_envs: int, num_workers: int) -> list[range]:
    """
    :param num_envs: number of environments
    :param num_workers: number of workers, which divides it
    :return: the environments of each worker
    """
    each = num_envs // num_workers
    return [range(first, first + each) for first in range(0, num_envs, each)]


def pack_env_fns(env_fns: Sequence[Callable[[], Any]], ranks: range) -> bytes:
    """
    :param env_fns: make the environments
    :param ranks: which of them to pack
    :return: for another process
    :raises ConfigError: if one cannot be sent to another process
    """
    chosen = [env_fns[rank] for rank in ranks]
    try:
        packed: bytes = cloudpickle.dumps(chosen)
    except Exception as error:  # the code of any class runs here
        part = find_unpicklable(list(env_fns), "env_fns")
        raise ConfigError(f"{part} cannot be sent to a worker process: {error}") from error
    return packed


def _do_for_each(items: Iterable[Any], work: Callable[[Any], Result]) -> list[Result]:
    """Receive every answer, whatever fails: the next message would get it otherwise. Then raise the first error."""
    results, errors = [], []
    for item in items:
        try:
            results.append(work(item))
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results
