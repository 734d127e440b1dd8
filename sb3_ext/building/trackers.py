"""The trackers of a run: started, and told how it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_ext.building.callbacks import Callbacks
from sb3_ext.config import RunConfig
from sb3_ext.runs.directory_kind import SWEEP_FILE
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.session import RunSession
from sb3_ext.tracking.media import find_media
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker import RunGroup, TrackedRun
from sb3_ext.tracking.tracker_registry import make_trackers

_TAGS = ("command", "git_commit", "git_dirty", "python_version", "sb3_ext_version", "sb3_version", "torch_version")
"""Entries of ``meta.json`` that trackers get."""


def start_trackers(
    config: RunConfig, session: RunSession, resumed_step: int | None, get_step: Callable[[], int]
) -> RunTrackers:
    """
    :param config: with every value filled in: what trackers log as the run's parameters
    :param session: the run that trains
    :param resumed_step: the step of the checkpoint from which the training resumes; ``None`` without one
    :param get_step: gives the environment transitions so far
    :return: the trackers, which log already
    :raises Sb3ExtError: if one of them cannot be made, or finds a mistake of the user's
    """
    paths = session.paths
    if resumed_step is None and paths.resumes.exists():
        resumed_step = 0  # a process that left no checkpoint may have logged
    trackers = RunTrackers(make_trackers(config.tracking), paths.tracking_journal, paths.tracking_states, get_step)
    trackers.start(describe_tracked_run(paths, resumed_step), config.model_dump(mode="json", by_alias=True))
    return trackers


def describe_tracked_run(paths: RunPaths, step: int | None = None) -> TrackedRun:
    """
    :param paths: of the run
    :param step: at which its training resumes; ``None`` if it begins
    :return: what trackers are told about it
    """
    meta: dict[str, Any] = json.loads(paths.meta.read_bytes())
    tags = {name: str(meta[name]) for name in _TAGS if meta.get(name) is not None}
    group = None
    if (study := meta.get("study")) is not None:
        group = RunGroup(study["name"], study["id"], paths.root.parent)
        tags |= {"study": study["name"], "trial": str(study["trial"])}
    elif (paths.root.parent / SWEEP_FILE).exists():
        group = describe_sweep(paths.root.parent)
        tags |= {"sweep": group.name, "seed": str(meta.get("seed"))}
    tags |= {"run_directory": str(paths.root)}
    return TrackedRun(paths.root.name, paths.root, step=step, tags=tags, group=group)


def describe_sweep(directory: Path) -> RunGroup:
    """
    :param directory: directory of a sweep over seeds
    :return: the sweep as a group for trackers
    """
    directory = directory.absolute()
    return RunGroup(directory.name, hashlib.sha256(str(directory).encode()).hexdigest()[:16], directory)


def log_files(trackers: RunTrackers, paths: RunPaths) -> None:
    """
    Log the files that a run leaves, but for checkpoints.

    :param trackers: of the run
    :param paths: of the run, at its end
    """
    files = [
        *(paths.config, paths.resolved_config, paths.requirements),
        *(paths.metrics, paths.evaluations, paths.benchmark_metrics, paths.training_curves),
    ]
    trackers.log_artifacts([*files, *find_media(paths.root)], paths.root)


def summarize_run(callbacks: Callbacks, session: RunSession, reason: str, detail: str | None) -> dict[str, Any]:
    """
    :param callbacks: of the training that has ended
    :param session: the run that trained
    :param reason: why it ended
    :param detail: the numbers behind it, in words
    :return: what trackers keep of its end: text and numbers
    """
    last = callbacks.metrics.sections.get("last_evaluation", {})
    record = session.status.status
    summary = {
        "stop_reason": reason,
        "stop_detail": detail,
        "final_step": record.step,
        "episodes": record.episode,
        "best_return": callbacks.evaluation.best_return,
        "final_return": last.get("mean_return"),
        "training_return": record.episode_return_mean,
        "elapsed_seconds": record.elapsed_seconds,
        "rating": record.rating,
    }
    return {name: value for name, value in summary.items() if value is not None}
