"""All trackers of one run, kept from ending its training."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, filter_excluded_keys

from sb3_ext.atomic import write_json
from sb3_ext.errors import Sb3ExtError, describe_error
from sb3_ext.tracking.tracker import TrackedRun, Tracker
from sb3_ext.tracking.tracker_registry import TENSORBOARD

logger = logging.getLogger(__name__)


class RunTrackers:
    """
    Starts the trackers of a run, passes on what is logged, and finishes them.

    A tracker that fails costs a warning and what it would have logged later; the training and the other trackers go on.

    :param trackers: by the names that they have in the configuration
    :param ids_path: the JSON file that keeps the id of each tracker's run, with which a later process continues it;
        ``None`` keeps none
    """

    def __init__(self, trackers: Mapping[str, Tracker], ids_path: Path | None = None) -> None:
        self._ids_path = ids_path
        self._working = dict(trackers)

    @property
    def outputs(self) -> list[KVWriter]:
        """For the ``output_formats`` of SB3's ``Logger``: each passes on what is dumped to one tracker."""
        return [_LoggerOutput(name, self._log_metrics) for name in self._working]

    def start(self, run: TrackedRun, parameters: Mapping[str, Any]) -> None:
        """
        :param run: the run; its ``id`` is left to ``ids_path``
        :param parameters: the resolved configuration: plain JSON data
        :raises Sb3ExtError: if a tracker finds a mistake of the user's; those that have started are finished
        """
        ids = self._load_ids()
        for name, tracker in list(self._working.items()):
            try:
                found = tracker.start(replace(run, id=ids.get(name)))
                tracker.log_parameters(parameters)
            except Sb3ExtError:
                self.finish("failed")
                raise
            except Exception as error:
                self._drop(name, error)
            else:
                if found is not None:
                    ids[name] = found
        if ids and self._ids_path is not None:
            write_json(self._ids_path, ids)

    def log_artifacts(self, paths: Iterable[Path], root: Path) -> None:
        """
        :param paths: files; those that do not exist are left out
        :param root: the directory that their names among the artifacts are relative to
        """
        for path in paths:
            if path.is_file():
                name = path.relative_to(root).as_posix()
                for tracker in list(self._working):
                    self._call(tracker, methodcaller("log_artifact", path, name))

    def finish(self, status: str) -> None:
        """
        Finish all; calls after the first do nothing.

        :param status: ``completed``, ``stopped`` or ``failed``
        """
        for name in list(self._working):
            self._call(name, methodcaller("finish", status))
        self._working.clear()

    def _log_metrics(self, name: str, values: Mapping[str, Any], step: int) -> None:
        self._call(name, methodcaller("log_metrics", values, step))

    def _call(self, name: str, action: Callable[[Tracker], None]) -> None:
        tracker = self._working.get(name)
        if tracker is None:
            return
        try:
            action(tracker)
        except Exception as error:
            self._drop(name, error)

    def _drop(self, name: str, error: Exception) -> None:
        del self._working[name]
        logger.warning("tracker %s failed; training goes on without it: %s", name, describe_error(error))

    def _load_ids(self) -> dict[str, str]:
        if self._ids_path is None or not self._ids_path.exists():
            return {}
        ids: dict[str, str] = json.loads(self._ids_path.read_bytes())
        return ids


class _LoggerOutput(KVWriter):
    """
    Passes on what a logger dumps, but for values that are excluded from this tracker by its name.

    What is excluded from TensorBoard (the number of the step among the values, say) is excluded from every tracker.
    """

    def __init__(self, name: str, log: Callable[[str, Mapping[str, Any], int], None]) -> None:
        self._name = name
        self._log = log

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        values = key_values
        for name in {TENSORBOARD, self._name}:
            values = filter_excluded_keys(values, key_excluded, name)
        self._log(self._name, values, step)

    def close(self) -> None:
        pass
