"""Tasks on a Ray cluster."""

from __future__ import annotations

import logging
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sb3_ext.errors import LaunchError, MissingExtraError
from sb3_ext.launching.core_shares import limit_threads
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.launching.task_process import TaskProcess
from sb3_ext.ranges import NonNegative, PositiveInt
from sb3_ext.ray_cluster import RayConnectionError, connect_ray

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_SAVE_SECONDS = 300.0


class TaskActor:
    """
    Ray's actor for one task: it runs the task as a process of its own, which saves and ends if the actor is killed.

    :param task: the task
    :param cpus: number of CPUs of the task
    """

    def __init__(self, task: Task, cpus: int) -> None:
        self._task = task
        self._cpus = cpus
        self._must_end = threading.Event()

    def run(self) -> int:
        """:return: exit status of the task"""
        process = TaskProcess(self._task, environment=limit_threads(range(self._cpus)))
        while (status := process.poll()) is None:
            if self._must_end.wait(_POLL_SECONDS):
                return process.end(_SAVE_SECONDS)
        return status

    def stop(self) -> None:
        """Ask the task to save and end, from another thread than :meth:`run`."""
        self._must_end.set()


class RayLauncher(Launcher):
    """
    Runs each task in an actor of a Ray cluster, whose machines see the same files under the same paths.

    :param directory: see :class:`Launcher`
    :param jobs: most tasks at a time, waiting ones included
    :param address: ``HOST:PORT`` of the head, or ``auto`` for the cluster of this machine; by default the environment
        variable ``RAY_ADDRESS``, or a new Ray on this machine alone
    :param cpus: CPUs of a task
    :param gpus: GPUs of a task, such as 0.5 for two tasks on a GPU
    :param resources: other resources of a task, as named by ``ray start --resources``
    :raises MissingExtraError: if Ray is not installed
    :raises LaunchError: if the head cannot be reached
    """

    is_distributed = True

    def __init__(
        self,
        directory: Path,
        jobs: int,
        *,
        address: str | None = None,
        cpus: PositiveInt = 1,
        gpus: NonNegative = 0.0,
        resources: dict[str, float] | None = None,
    ) -> None:
        super().__init__(directory, jobs)
        if find_spec("ray") is None:
            raise MissingExtraError("--launcher ray", "ray")
        self._cpus = cpus
        self._requested: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "resources": resources or {}}
        self._running: dict[Any, tuple[Task, Any]] = {}
        try:
            connect_ray(address)
        except RayConnectionError as error:
            raise LaunchError(f"--launcher ray: {error}") from error
        self._warn_of_missing_resources()

    def start(self, task: Task) -> None:
        import ray

        # Two threads: one runs the task, one receives stop(). A lost actor is reported by find_ended().
        actor = ray.remote(TaskActor).options(max_concurrency=2, **self._requested).remote(task, self._cpus)
        self._running[actor.run.remote()] = task, actor

    def find_ended(self) -> list[TaskEnd]:
        import ray

        if not self._running:
            return []
        ready, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._read_end(reference) for reference in ready]

    def stop(self) -> None:
        import ray

        if not self._running:
            return
        actors = {actor.__ray_ready__.remote(): actor for _, actor in self._running.values()}
        begun, waiting = ray.wait(list(actors), num_returns=len(actors), timeout=_CONNECT_SECONDS)
        for reference in begun:
            actors[reference].stop.remote()
        for reference in waiting:
            ray.kill(actors[reference])

    def kill(self) -> None:
        import ray

        for _, actor in self._running.values():
            ray.kill(actor)
        self._running.clear()

    def close(self) -> None:
        import ray

        self.kill()
        ray.shutdown()

    def _read_end(self, reference: Any) -> TaskEnd:
        import ray

        task, actor = self._running.pop(reference)
        try:
            return TaskEnd(task, ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            return TaskEnd(task, 1, " ".join(str(error.cause).split()))
        except ray.exceptions.RayError as error:
            return TaskEnd(task, None, f"Ray has lost it: {_shorten(str(error))}")
        finally:
            ray.kill(actor)

    def _warn_of_missing_resources(self) -> None:
        import ray

        wanted = {"CPU": self._cpus, "GPU": self._requested["num_gpus"], **self._requested["resources"]}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= number for name, number in wanted.items()) for node in nodes):
            text = ", ".join(f"{number:g} {name}" for name, number in wanted.items() if number)
            logger.warning("no machine of the Ray cluster has %s: tasks wait until one is added", text)


def _shorten(text: str) -> str:
    return " ".join(text.split())[:200]
