"""Control one actor of Ray from the training process."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray

from sb3_ext.vec.workers.shared_memory import ArraySpec, SharedBlock, StepArrays
from sb3_ext.vec.workers.worker_errors import WorkerLostError
from sb3_ext.vec.workers.worker_handle import LEAST_START_SECONDS, name_worker
from sb3_ext.vec.workers.worker_loop import WorkerService
from sb3_ext.vec.workers.worker_messages import NOTHING, pack, unpack

_MAKING = "making its environments"
_TASKS_WITH_ARRAYS = ("stepping", "resetting")


class RayWorker:
    """The actor: its environments, and arrays of their latest results."""

    def __init__(self) -> None:
        self._service = WorkerService({"attach": self._attach})

    def make(self, env_fns: bytes, replacement: bool) -> tuple[bytes, None]:
        """
        :param env_fns: packed functions that make the environments
        :param replacement: whether the actor replaces a lost one: ``Monitor`` files are then continued
        :return: the answer
        """
        return self._service.make(env_fns, replacement), None

    def respond(self, message: bytes, has_arrays: bool) -> tuple[bytes, list[Any] | None]:
        """
        :param message: see :mod:`sb3_ext.vec.workers.worker_messages`
        :param has_arrays: whether the results are needed, too
        :return: the answer, and rewards, dones and the parts of the observations
        """
        answer = self._service.respond(message)
        arrays = self._service.group.arrays if has_arrays else None
        return answer, None if arrays is None else [arrays.rewards, arrays.dones, *arrays.observations]

    def close(self) -> None:
        """Close the environments."""
        self._service.group.close()

    def _attach(self, specs: list[ArraySpec]) -> None:
        self._service.group.arrays = StepArrays.view(SharedBlock(specs), False, 0, specs[0].shape[0])


class RayHandle:
    """
    Start an actor, exchange messages with it, and end it. See
    :class:`~sb3_ext.vec.workers.worker_handle.WorkerHandle`.

    :param index: of the worker
    :param ranks: of its environments
    :param env_fns: packed functions that make them
    :param timeout_seconds: for each answer; ``None`` waits for ever
    :param cpus: of the actor
    """

    def __init__(self, index: int, ranks: range, env_fns: bytes, *, timeout_seconds: float | None, cpus: float) -> None:
        self.index = index
        self.ranks = ranks
        self._env_fns = env_fns
        self._timeout_seconds = timeout_seconds
        self._cpus = cpus
        self._actor: Any = None
        self._answer: Any = None
        self._task = ""
        self._arrays: StepArrays | None = None

    @property
    def place(self) -> str:
        """The worker and its environments, for messages."""
        return name_worker(self.index, self.ranks)

    @property
    def is_started(self) -> bool:
        """Whether an actor was started."""
        return self._actor is not None

    @property
    def pid(self) -> int:
        """The process id, on the actor's machine."""
        pid: int = ray.get(self._actor.__ray_call__.remote(_get_pid))
        return pid

    def start(self, *, replacement: bool = False) -> None:
        """
        Start the actor. Its first answer describes its environments.

        :param replacement: whether it replaces a lost one
        """
        self._actor = ray.remote(RayWorker).options(num_cpus=self._cpus).remote()
        self._answer, self._task = self._actor.make.remote(self._env_fns, replacement), _MAKING

    def attach(self, block: SharedBlock, specs: list[ArraySpec], has_actions: bool) -> None:
        """
        :param block: memory of this process for actions and results
        :param specs: of its arrays
        :param has_actions: whether actions are the first array
        """
        self._arrays = StepArrays.view(block, has_actions, self.ranks.start, self.ranks.stop)
        own = [replace(spec, shape=(len(self.ranks), *spec.shape[1:])) for spec in specs[has_actions:]]
        self.send(pack(("attach", own), "attach"), "attaching")

    def send(self, message: bytes, task: str) -> None:
        """
        :param message: packed
        :param task: what the worker does, for errors
        """
        if self._answer is not None:
            with suppress(WorkerLostError):
                self.receive()  # the answer of an interrupted task
        if message == NOTHING:
            assert self._arrays is not None
            message = pack(("step", self._arrays.actions), "actions")
        self._answer, self._task = self._actor.respond.remote(message, task in _TASKS_WITH_ARRAYS), task

    def receive(self) -> Any:
        """
        :return: the answer, or a ``Failure``
        :raises WorkerLostError: if the actor has ended, or does not answer in time and is killed
        """
        seconds = self._timeout_seconds
        if seconds is not None and self._task == _MAKING:
            seconds = max(seconds, LEAST_START_SECONDS)
        began_at = time.monotonic()
        try:
            packed, results = ray.get(self._answer, timeout=seconds)
        except ray.exceptions.GetTimeoutError:
            self.kill()
            raise WorkerLostError(
                f"{self.place} hangs: it has been {self._task} for {time.monotonic() - began_at:.1f} s, which is more "
                "than step_timeout_seconds allows"
            ) from None
        except ray.exceptions.RayActorError:
            self._answer = None
            raise WorkerLostError(f"{self.place} was lost by Ray while {self._task}") from None
        self._answer = None
        if results is not None:
            assert self._arrays is not None
            own = [self._arrays.rewards, self._arrays.dones, *self._arrays.observations]
            for array, result in zip(own, results, strict=True):
                array[...] = result
        return unpack(packed)

    def disconnect(self) -> None:
        """Let the actor close its environments."""
        self._answer = None
        with suppress(ray.exceptions.RayError):
            self._answer = self._actor.close.remote()

    def end(self, deadline: float) -> None:
        """
        Wait until the environments are closed after :meth:`disconnect`, then kill the actor.

        :param deadline: end of the wait, in terms of :func:`time.monotonic`
        """
        with suppress(ray.exceptions.RayError):
            if self._answer is not None:
                ray.get(self._answer, timeout=max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill the actor, whatever it does."""
        self._answer = None
        if ray.is_initialized():
            ray.kill(self._actor)


def _get_pid(worker: RayWorker) -> int:
    import os

    return os.getpid()
