"""The trackers of a run."""

from __future__ import annotations

import json
from typing import Any

from sb3_ext.config import RunConfig
from sb3_ext.runs.session import RunSession
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker import TrackedRun
from sb3_ext.tracking.tracker_registry import make_trackers

_TAGS = ("command", "git_commit", "git_dirty", "python_version", "sb3_ext_version", "sb3_version", "torch_version")
"""Entries of ``meta.json`` that trackers get."""


def start_trackers(config: RunConfig, session: RunSession, resumed_step: int | None) -> RunTrackers:
    """
    :param config: with every value filled in: what trackers log as the run's parameters
    :param session: the run that trains
    :param resumed_step: the step of the checkpoint from which the training resumes; ``None`` without one
    :return: the trackers, which log already
    :raises Sb3ExtError: if one of them cannot be made, or finds a mistake of the user's
    """
    paths = session.paths
    if resumed_step is None and paths.resumes.exists():
        resumed_step = 0  # a process that left no checkpoint may have logged
    trackers = RunTrackers(make_trackers(config.tracking), paths.tracker_ids)
    run = TrackedRun(paths.root.name, paths.root, step=resumed_step, tags=_read_tags(session))
    trackers.start(run, config.model_dump(mode="json", by_alias=True))
    return trackers


def log_files(trackers: RunTrackers, session: RunSession) -> None:
    """
    Log the files that a run leaves, but for checkpoints.

    :param trackers: of the run
    :param session: the run, at its end
    """
    paths = session.paths
    files = [
        *(paths.config, paths.resolved_config, paths.requirements),
        *(paths.metrics, paths.evaluations, paths.benchmark_metrics, paths.training_curves),
    ]
    trackers.log_artifacts([*files, *sorted(paths.videos.glob("*"))], paths.root)


def _read_tags(session: RunSession) -> dict[str, str]:
    meta: dict[str, Any] = json.loads(session.paths.meta.read_bytes())
    return {name: str(meta[name]) for name in _TAGS if meta.get(name) is not None}
