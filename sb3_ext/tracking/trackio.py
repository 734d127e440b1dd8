"""Track runs with Trackio: metrics in a local SQLite file, shown by a local web page."""

from __future__ import annotations

import importlib.util
import shutil
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sb3_ext.errors import MissingExtraError
from sb3_ext.tracking.media import is_video
from sb3_ext.tracking.tracker import TrackedRun, Tracker


class TrackioTracker(Tracker):
    """
    Log parameters, metrics and videos to Trackio's folder, ``TRACKIO_DIR``. ``trackio show`` shows them, ``trackio
    sync`` uploads them to a Hugging Face Space.

    Each entry has an id made from the run's id and its index, by which Trackio skips entries that it already has.

    :param project: name of the project
    :param run_name: name of the Trackio run; ``None`` for the name of the run directory
    :param group: name of a group of runs; ``None`` for the study of which the run is a trial
    :raises MissingExtraError: if Trackio is not installed
    :raises ValueError: if Trackio refuses the name of the project
    """

    def __init__(self, project: str = "sb3_ext", run_name: str | None = None, group: str | None = None) -> None:
        if importlib.util.find_spec("trackio") is None:
            raise MissingExtraError("tracking with Trackio", "trackio")
        from trackio.sqlite_storage import SQLiteStorage

        SQLiteStorage.validate_project_name(project)
        self._project = project
        self._run_name = run_name
        self._group = group
        self._name = self._id = ""
        self._config: dict[str, Any] = {}
        self._place = 0
        self._last_step = 0
        self._entries: list[tuple[dict[str, Any], int, float]] = []

    @property
    def is_local(self) -> bool:
        """True: runs are in a file."""
        return True

    def start(self, run: TrackedRun) -> str:
        """
        :param run: the run
        :return: Trackio's id of the run
        """
        self._name, self._id = self._run_name or run.name, run.id or uuid.uuid4().hex
        self._place, self._last_step = run.logged, run.step or 0
        self._entries.clear()
        self._config = {"_Created": _format_time(datetime.now(timezone.utc).timestamp()), **run.tags}
        group = self._group or (None if run.group is None else run.group.name)
        if group is not None:
            self._config["_Group"] = group
        if run.parent_id is not None:
            self._config["parent_id"] = run.parent_id
        return self._id

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """:param parameters: nested parameters, which are written with the first metrics"""
        self._config = {**parameters, **self._config}

    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        :param values: numbers by name
        :param step: environment transitions so far
        :param time_seconds: when they were measured
        """
        self._entries.append((dict(values), step, time_seconds))
        self._last_step = max(self._last_step, step)

    def log_artifact(self, path: Path, name: str) -> None:
        """
        Log a video, at the last step. Other files are not logged: Trackio does not show them.

        :param path: the file
        :param name: name of the video
        """
        if not is_video(name):
            return
        from trackio import Video
        from trackio.media.utils import get_project_media_path
        from trackio.sqlite_storage import SQLiteStorage
        from trackio.utils import MEDIA_DIR

        self.flush()
        folder = get_project_media_path(self._project, run=self._id, step=self._last_step)
        copy = folder / name.replace("/", "_")
        shutil.copyfile(path, copy)
        video = {"_type": Video.TYPE, "file_path": copy.relative_to(MEDIA_DIR).as_posix(), "caption": name}
        SQLiteStorage.bulk_log(
            project=self._project,
            run=self._name,
            run_id=self._id,
            metrics_list=[{name: video}],
            steps=[self._last_step],
            config=self._config,
            log_ids=[f"{self._id}-{self._last_step}-{name}"],
        )

    def flush(self) -> None:
        """Write the entries in one transaction."""
        from trackio.sqlite_storage import SQLiteStorage

        if not self._entries:
            return
        entries, steps, times = zip(*self._entries, strict=True)
        places = range(self._place, self._place + len(entries))
        SQLiteStorage.bulk_log(
            project=self._project,
            run=self._name,
            run_id=self._id,
            metrics_list=list(entries),
            steps=list(steps),
            timestamps=[_format_time(time_seconds) for time_seconds in times],
            config=self._config,
            log_ids=[self._make_entry_id(place) for place in places],
        )
        self._place += len(entries)
        self._entries.clear()

    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        :param status: added to the parameters of the run
        :param summary: added to the parameters of the run
        """
        self.flush()
        if self._place == 0:
            return
        from trackio.sqlite_storage import SQLiteStorage

        self._config |= {"status": status, **{f"summary_{name}": value for name, value in summary.items()}}
        # Trackio writes parameters only with metrics. These have the id of the first entry, so that Trackio skips them.
        SQLiteStorage.bulk_log(
            project=self._project,
            run=self._name,
            run_id=self._id,
            metrics_list=[{}],
            steps=[0],
            config=self._config,
            log_ids=[self._make_entry_id(0)],
        )

    def _make_entry_id(self, place: int) -> str:
        return f"{self._id}-{place}"


def _format_time(time_seconds: float) -> str:
    return datetime.fromtimestamp(time_seconds, timezone.utc).isoformat()
