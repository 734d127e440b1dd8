"""Evaluate a copy of the model in another process, while training continues in this one."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import CloudpickleWrapper, VecEnv

from sb3_ext.errors import Sb3ExtError
from sb3_ext.evaluation.copied_normalization import copy_statistics, set_statistics
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.evaluation.evaluators import EvaluationSettings
from sb3_ext.evaluation.plain_env import AnyEnv, wrap_plain_env
from sb3_ext.internals.torch import defer_compiler
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.process_lifetime import shield_new_processes

# A model that only plays needs no replay buffer; a second one of full size might not fit into memory.
_WITHOUT_REPLAY: dict[str, Any] = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}

# Long enough to close environments, short enough to wait for if an evaluation is running.
_SECONDS_TO_END = 0.3

_POLL_SECONDS = 0.1

_START_METHOD: Final = "spawn"  # a process that has used CUDA cannot be forked


class BackgroundEvaluator:
    """
    An :class:`~sb3_ext.evaluation.evaluators.Evaluator` in another process. Its errors are returned as outcomes, not
    raised.

    If the process dies, it is started again for the next model. It ignores Ctrl+C, and ends when this process ends,
    also if this process is killed.

    :param make_env: function that makes the environments in the other process; cloudpickle must be able to serialize it
    :param settings: settings of the evaluations
    :param capture: function that saves the model and returns the path of its ``model.zip``, which must exist until the
        outcome is received; by default the model is saved to a temporary file
    """

    def __init__(
        self,
        make_env: Callable[[], AnyEnv],
        settings: EvaluationSettings,
        capture: Callable[[], Path] | None = None,
    ) -> None:
        self._make_env = make_env
        self._settings = settings
        self._capture = capture
        self._worker: _EvaluationWorker | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._is_busy = False
        self._failure: str | None = None

    @property
    def is_busy(self) -> bool:
        """See :class:`~sb3_ext.evaluation.evaluators.Evaluator`."""
        return self._is_busy

    def start(self, model: BaseAlgorithm) -> None:
        """See :class:`~sb3_ext.evaluation.evaluators.Evaluator`."""
        self._provide_worker()

    def submit(self, model: BaseAlgorithm, interruption: Interruption = NEVER) -> None:
        """See :class:`~sb3_ext.evaluation.evaluators.Evaluator`."""
        self._is_busy = True
        try:
            model_path = self._save(model) if self._capture is None else self._capture()
        except (OSError, Sb3ExtError) as error:
            self._failure = f"the model could not be saved: {error}"
            return
        statistics = copy_statistics(model.get_vec_normalize_env())
        job = _Job(type(model), model_path, str(model.device), statistics, self._settings)
        with suppress(OSError):  # it died just now; receiving raises an error
            self._provide_worker().connection.send(CloudpickleWrapper(job))

    def receive(
        self, timeout_seconds: float | None = 0.0, interruption: Interruption = NEVER
    ) -> Evaluation | str | None:
        """See :class:`~sb3_ext.evaluation.evaluators.Evaluator`."""
        if self._failure is not None:
            self._is_busy, failure, self._failure = False, self._failure, None
            return failure
        if not self._is_busy or self._worker is None or not self._worker.wait(timeout_seconds, interruption):
            return None
        self._is_busy = False
        try:
            outcome: Evaluation | str = self._worker.connection.recv()
        except (EOFError, OSError):
            outcome = f"the evaluator died (exit code {self._worker.end()})"
            self._worker = None
        return outcome

    def close(self) -> None:
        """See :class:`~sb3_ext.evaluation.evaluators.Evaluator`. A running evaluation is aborted."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None
        self._is_busy = False
        self._failure = None

    def _save(self, model: BaseAlgorithm) -> Path:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="sb3_ext_evaluation_")
        path = Path(self._directory.name) / "model.zip"
        model.save(path)
        return path

    def _provide_worker(self) -> _EvaluationWorker:
        if self._worker is not None and not self._worker.is_alive:
            self._worker.end()
            self._worker = None
        if self._worker is None:
            self._worker = _EvaluationWorker(self._make_env)
        return self._worker


@dataclass(frozen=True)
class _Job:
    algorithm: type[BaseAlgorithm]
    model_path: Path
    device: str
    statistics: dict[str, Any] | None
    settings: EvaluationSettings


class _EvaluationWorker:
    """The other process, and the connection to it."""

    def __init__(self, make_env: Callable[[], AnyEnv]) -> None:
        context = multiprocessing.get_context(_START_METHOD)
        self.connection, far_connection = context.Pipe()
        # No daemon: daemons may not have children, and the environments may be processes.
        self._process: BaseProcess = context.Process(
            target=_serve, args=(far_connection, CloudpickleWrapper(make_env)), name="evaluator"
        )
        with shield_new_processes():
            self._process.start()
        far_connection.close()
        # multiprocessing waits for its processes when Python exits, so this one must be ended before.
        atexit.register(self.end)

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def wait(self, timeout_seconds: float | None, interruption: Interruption) -> bool:
        """:return: whether a message has arrived"""
        if timeout_seconds is not None:
            return self.connection.poll(timeout_seconds)
        while not self.connection.poll(_POLL_SECONDS):
            interruption.check()
        return True

    def end(self) -> int | None:
        """:return: the exit code, negative for a signal"""
        atexit.unregister(self.end)
        self.connection.close()
        self._process.join(_SECONDS_TO_END)
        self._process.kill()
        self._process.join()
        return self._process.exitcode


def _serve(connection: Connection, make_env: CloudpickleWrapper) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # training uses the other cores
    defer_compiler()
    env: VecEnv | None = None
    with suppress(EOFError, OSError):  # the connection is closed: no more evaluations are needed
        while True:
            job: _Job = connection.recv().var
            try:
                env = wrap_plain_env(make_env.var()) if env is None else env
                outcome: Evaluation | str = _work(job, env)
            except Exception:  # any error is reported to the training, which it must not end
                outcome = traceback.format_exc()
            connection.send(outcome)
    if env is not None:
        env.close()


def _work(job: _Job, env: VecEnv) -> Evaluation:
    model = job.algorithm.load(job.model_path, device=job.device, custom_objects=_WITHOUT_REPLAY)
    set_statistics(env, job.statistics)
    return job.settings.evaluate(model, env)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
