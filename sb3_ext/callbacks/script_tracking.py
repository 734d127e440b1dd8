"""Track a training script with MLflow, Weights & Biases, Trackio or a tracker of your own."""

from __future__ import annotations

import atexit
import json
import logging
import shutil
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger

from sb3_ext.algorithms.model_parameters import describe_parameters
from sb3_ext.atomic import write_json
from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.callbacks.checkpoint import RunCheckpointCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.callbacks.tracking_values import TrackedValuesCallback
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import SaveOutcome
from sb3_ext.errors import Sb3ExtError
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.internals.sb3 import get_total_steps
from sb3_ext.tracking.delivery import SyncOutcome
from sb3_ext.tracking.delivery_states import DeliveryState, load_states
from sb3_ext.tracking.journal import Journal
from sb3_ext.tracking.redaction import describe_safely
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker import TrackedRun, Tracker
from sb3_ext.tracking.tracker_registry import make_trackers
from sb3_ext.tracking.wandb import WandbMode
from sb3_ext.version import __version__

logger = logging.getLogger(__name__)

_JOURNAL, _STATES, _TRAINING = "journal.jsonl", "state.json", "training.json"
_open_callbacks: weakref.WeakSet[TrackerCallback] = weakref.WeakSet()


class TrackerCallback(TrackedValuesCallback):
    """
    Log a training to a tracker::

        model.learn(100_000, callback=TrackerCallback("runs/mine", MyTracker()))

    The tracker gets the parameters of the model, everything that SB3's logger and the callbacks of this package dump,
    statistics of episodes, processor and memory use, files, and how training ended. A thread sends all this, so a slow
    service does not slow training down, and one that cannot be reached costs one warning: what was not sent stays in
    ``directory``, and the next resume or :meth:`sync` sends it.

    With a :class:`~sb3_ext.callbacks.RunCheckpointCallback` among the callbacks, values are sent once a checkpoint
    covers them, and a resumed training continues the same run of the tracker, without missing or duplicate steps; its
    ``close()`` ends that run. Otherwise, each training from step 0 begins a new run of the tracker, which ends with
    ``learn``, or with the final evaluation of an :class:`~sb3_ext.callbacks.EvaluationCallback`. If the script ends
    before that, for example by an exception, the run is marked as failed.

    :param directory: directory of the training, whose name is the default name of the tracker's run
    :param tracker: the tracker
    :param name: name of the tracker, for messages and file names, if one training has several of your own; ``None``
        for ``tracker``
    :param parameters: further parameters to log: plain values, also nested
    :param artifacts: patterns of files in ``directory`` that are uploaded at the end, such as ``videos/*.mp4``
    :raises Sb3ExtError: by ``learn``, before training begins, if the tracker refuses the run: no login, no permission
    """

    state_key: str = "tracker"

    def __init__(
        self,
        directory: Path | str,
        tracker: Tracker,
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._name = self.state_key = name or type(self).state_key
        self._directory = Path(directory)
        self._tracker = tracker
        self._parameters = dict(parameters or {})
        self._patterns = artifacts
        self._trackers: RunTrackers | None = None
        self._logger: Logger | None = None
        self._output: KVWriter | None = None
        self._checkpoints: list[RunCheckpointCallback] = []
        self._evaluations: list[EvaluationCallback] = []
        self._stops: list[StopCallback] = []
        self._durable_step = 0
        self._final_step: int | None = None  # once learn has ended

    @property
    def url(self) -> str | None:
        """URL of the tracker's run; ``None`` if it has none, or before training."""
        return self._tracker.url

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`. Ids are not loaded: they are also in ``directory``."""
        return {**super().state_dict(), "ids": {} if self._trackers is None else self._trackers.ids}

    def sync(self) -> list[SyncOutcome]:
        """
        Send what earlier trainings have left in ``directory``, and artifacts that were written later. Do not call this
        while one is running.

        :return: the outcome of each training that had something left
        :raises Sb3ExtError: if the tracker refuses the run
        """
        outcomes = []
        folders = self._list_folders()
        for folder in folders:
            training = json.loads((folder / _TRAINING).read_bytes())
            checkpoints = training["checkpoints"]
            journal = Journal(folder / _JOURNAL)
            latest = None if checkpoints is None else CheckpointStore(Path(checkpoints)).find_latest(playing_only=True)
            step = journal.last_step if checkpoints is None else 0 if latest is None else latest.step
            outcomes += self._make_run_trackers(folder).sync(
                self._describe(step),
                training["parameters"],
                killed_summary={"stop_reason": "the process was killed"},
                files=self._find_artifacts() if folder == folders[-1] else (),
            )
        return [outcome for outcome in outcomes if outcome.sent or outcome.left or outcome.refused]

    def close(self) -> None:
        """End the tracker's run now, if it has not ended."""
        if self._final_step is None:
            self._finish("stopped", {"stop_reason": "closed"})
        else:
            self._finish(self._find_status(), self._summarize())

    def finish_after_error(self, error: BaseException | None) -> None:
        """
        End the tracker's run, if it has not ended, when the script ends. Called at the exit of the process.

        :param error: the exception that ended the script; ``None`` if there was none
        """
        for checkpoints in self._checkpoints:
            checkpoints.wait()
        if isinstance(error, KeyboardInterrupt):
            self._finish("stopped", {"stop_reason": "interrupt"})
        elif error is not None:
            self._finish("failed", {"stop_reason": f"error: {describe_safely(error)}"})
        elif self._final_step is None:
            self._finish("failed", {"stop_reason": "the script ended"})
        else:
            self.close()

    def _on_training_start(self) -> None:
        self.close()  # learn is called again
        callbacks = list_callbacks(self.locals["callback"])
        self._checkpoints = [item for item in callbacks if isinstance(item, RunCheckpointCallback)]
        self._evaluations = [item for item in callbacks if isinstance(item, EvaluationCallback)]
        self._stops = [item for item in callbacks if isinstance(item, StopCallback)]
        self._final_step, self._durable_step = None, self.model.num_timesteps
        self._start(self.model.num_timesteps)
        for checkpoints in self._checkpoints:
            if self._on_outcome not in checkpoints.on_outcome:
                checkpoints.on_outcome.append(self._on_outcome)
        for evaluation in self._evaluations:
            if self._on_evaluation not in evaluation.on_evaluation:
                evaluation.on_evaluation.append(self._on_evaluation)
        _open_callbacks.add(self)
        # Anew, so that it comes before the functions that clients of the service have registered meanwhile.
        atexit.unregister(_finish_at_exit)
        atexit.register(_finish_at_exit)
        super()._on_training_start()

    def _on_training_end(self) -> None:
        super()._on_training_end()
        self._stop_watching()
        self._final_step = self.model.num_timesteps
        self._finish_if_nothing_follows()

    def _start(self, step: int) -> None:
        folder = self._choose_folder(step)
        trackers = self._make_run_trackers(folder)
        parameters = {**describe_parameters(self.model), **self._parameters}
        is_resumed, is_new = step > 0 or (folder / _JOURNAL).exists(), not folder.exists()
        self._write_training(folder, parameters)
        try:
            trackers.start(self._describe(step if is_resumed else None), parameters)
        except Sb3ExtError:
            if is_new:
                _remove_folder(folder, self._directory)
            raise
        trackers.measures.append(self.measure)
        self._trackers, self._output, self._logger = trackers, trackers.output, self.logger
        self._logger.output_formats.append(self._output)

    def _on_outcome(self, outcome: SaveOutcome) -> None:
        if outcome.bundle is not None and self._trackers is not None:
            self._durable_step = max(self._durable_step, outcome.step)
            self._trackers.mark_durable(outcome.step)
            self._finish_if_nothing_follows()

    def _on_evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._finish_if_nothing_follows()

    def _finish_if_nothing_follows(self) -> None:
        step = self._final_step
        if step is None or any(evaluation.is_final_due(step) for evaluation in self._evaluations):
            return
        if not self._checkpoints or self._durable_step >= step:
            self.close()

    def _finish(self, status: str, summary: Mapping[str, Any]) -> None:
        if self._trackers is None:
            return
        trackers, self._trackers = self._trackers, None
        _open_callbacks.discard(self)
        self._stop_watching()
        if self._logger is not None and self._output in self._logger.output_formats:
            self._logger.output_formats.remove(self._output)
        trackers.drop_after_checkpoint()
        trackers.log_artifacts(self._find_artifacts(), self._directory)
        trackers.finish(status, summary)

    def _find_artifacts(self) -> list[Path]:
        found = {path for pattern in self._patterns for path in self._directory.glob(pattern)}
        return sorted(path for path in found if path.is_file())

    def _find_status(self) -> str:
        return "completed" if self._find_reason() == "total_steps" else "stopped"

    def _find_reason(self) -> str:
        reasons = [stop.stop_reason for stop in self._stops if stop.stop_reason is not None]
        if reasons:
            return reasons[0]
        return "total_steps" if self.model.num_timesteps >= get_total_steps(self.model) else "callback"

    def _summarize(self) -> dict[str, Any]:
        returns = [item.best_return for item in self._evaluations if item.best_return is not None]
        best = {"best_return": max(returns)} if returns else {}
        step = self.model.num_timesteps
        return {"stop_reason": self._find_reason(), "final_step": step, "episodes": self.episodes, **best}

    def _describe(self, step: int | None) -> TrackedRun:
        name = self._directory.absolute().name
        return TrackedRun(name, self._directory, step=step, tags={"sb3_ext_version": __version__})

    def _make_run_trackers(self, folder: Path) -> RunTrackers:
        return RunTrackers(
            {self._name: self._tracker},
            folder / _JOURNAL,
            folder / _STATES,
            lambda: self.model.num_timesteps,
            waits_for_checkpoints=bool(self._checkpoints),
            how_to_sync=f'{type(self).__name__}("{self._directory}", …).sync()',
        )

    def _list_folders(self) -> list[Path]:
        """:return: a folder for each training of this tracker, the latest last"""
        found = [path.parent for path in (self._directory / "tracking").glob(f"{self._name}-*/{_TRAINING}")]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def _choose_folder(self, step: int) -> Path:
        """A resumed training continues in the last folder; a new one gets its own, and removes those that were sent."""
        folders = self._list_folders()
        if folders and (step > 0 or self._checkpoints):
            return folders[-1]
        number = 1 + int(folders[-1].name.rpartition("-")[2]) if folders else 1
        left = [folder for folder in folders if _is_left(folder, self._name)]
        if left:
            logger.warning(
                'tracker %s: an earlier training has ended without sending everything; %s("%s", …).sync() does so',
                *(self._name, type(self).__name__, self._directory),
            )
        for folder in folders:
            if folder not in left:
                shutil.rmtree(folder)
        return self._directory / "tracking" / f"{self._name}-{number}"

    def _write_training(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        checkpoints = str(self._checkpoints[0].store.directory.absolute()) if self._checkpoints else None
        content = {"checkpoints": checkpoints, "parameters": parameters}
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _TRAINING, json.loads(json.dumps(content, default=str)), durable=False)


class MlflowCallback(TrackerCallback):
    """
    Log a training to MLflow; see :class:`TrackerCallback`::

        model.learn(100_000, callback=MlflowCallback("runs/mine", tracking_uri="http://localhost:5000"))

    :param directory: directory of the training
    :param tracking_uri: see :class:`~sb3_ext.tracking.mlflow.MlflowTracker`, also for the following parameters
    :param experiment: name of the experiment
    :param run_name: name of the MLflow run; ``None`` for the name of the directory
    :param tags: tags of the run
    :param parameters: further parameters to log
    :param artifacts: patterns of files in ``directory`` that are uploaded at the end
    :raises ConfigError: if an argument is wrong
    :raises MissingExtraError: if MLflow is not installed
    """

    state_key = "mlflow"

    def __init__(
        self,
        directory: Path | str,
        *,
        tracking_uri: str | None = None,
        experiment: str = "sb3_ext",
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Sequence[str] = (),
    ) -> None:
        arguments = {"tracking_uri": tracking_uri, "experiment": experiment, "run_name": run_name, "tags": tags}
        super().__init__(directory, _make_tracker("mlflow", arguments), parameters=parameters, artifacts=artifacts)


class WandbCallback(TrackerCallback):
    """
    Log a training to Weights & Biases; see :class:`TrackerCallback`::

        model.learn(100_000, callback=WandbCallback("runs/mine", project="cartpole"))

    :param directory: directory of the training
    :param project: see :class:`~sb3_ext.tracking.wandb.WandbTracker`, also for the following parameters
    :param entity: user or team
    :param run_name: name of the W&B run; ``None`` for the name of the directory
    :param group: name of a group of runs
    :param mode: ``online``, ``offline`` or ``disabled``
    :param tags: labels of the run
    :param parameters: further parameters to log
    :param artifacts: patterns of files in ``directory`` that are uploaded at the end
    :raises ConfigError: if an argument is wrong
    :raises MissingExtraError: if ``wandb`` is not installed
    """

    state_key = "wandb"

    def __init__(
        self,
        directory: Path | str,
        *,
        project: str = "sb3_ext",
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        mode: WandbMode = "online",
        tags: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Sequence[str] = (),
    ) -> None:
        names = {"project": project, "entity": entity, "run_name": run_name, "group": group}
        arguments = {**names, "mode": mode, "tags": None if tags is None else list(tags)}
        super().__init__(directory, _make_tracker("wandb", arguments), parameters=parameters, artifacts=artifacts)


class TrackioCallback(TrackerCallback):
    """
    Log a training to Trackio; see :class:`TrackerCallback`::

        model.learn(100_000, callback=TrackioCallback("runs/mine", project="cartpole"))

    :param directory: directory of the training
    :param project: see :class:`~sb3_ext.tracking.trackio.TrackioTracker`, also for the following parameters
    :param run_name: name of the Trackio run; ``None`` for the name of the directory
    :param group: name of a group of runs
    :param parameters: further parameters to log
    :raises ConfigError: if an argument is wrong
    :raises MissingExtraError: if Trackio is not installed
    """

    state_key = "trackio"

    def __init__(
        self,
        directory: Path | str,
        *,
        project: str = "sb3_ext",
        run_name: str | None = None,
        group: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        arguments = {"project": project, "run_name": run_name, "group": group}
        super().__init__(directory, _make_tracker("trackio", arguments), parameters=parameters)


def _make_tracker(name: str, arguments: Mapping[str, Any]) -> Tracker:
    return make_trackers({name: arguments})[name]


def _is_left(folder: Path, name: str) -> bool:
    """Whether a training has left something to send."""
    if not (folder / _JOURNAL).exists():
        return False
    journal, state = Journal(folder / _JOURNAL), load_states(folder / _STATES).get(name, DeliveryState())
    return not journal.has_ended or state.position < journal.end or bool(state.refused)


def _remove_folder(folder: Path, directory: Path) -> None:
    """Remove a folder, and those above it that are empty then."""
    shutil.rmtree(folder)
    with suppress(OSError):
        folder.parent.rmdir()
        directory.rmdir()


def _finish_at_exit() -> None:
    error = getattr(sys, "last_value", None)  # what has ended the script
    for callback in list(_open_callbacks):
        callback.finish_after_error(error)
