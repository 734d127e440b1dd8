"""Truncate the episode files of ``Monitor`` and ``VecMonitor`` to their sizes at the checkpoint."""

from __future__ import annotations

import logging

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.environment_state import get_environment
from sb3_ext.vec.snapshots.vec_snapshots import cut_monitor_files, get_monitor_files

logger = logging.getLogger(__name__)


def capture_monitor_files(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    """
    files = get_monitor_files(get_environment(model))
    state.values["monitor_sizes_bytes"] = [None if file is None else file.size_bytes for file in files]


def restore_monitor_files(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Remove the episodes after the checkpoint. A file that lacks earlier episodes is kept, and a warning is logged.

    :param model: a model with environments like the captured ones, whose files were opened with
        ``override_existing=False``
    :param state: the captured state
    """
    sizes_bytes = state.values["monitor_sizes_bytes"]
    for file, size_bytes in zip(cut_monitor_files(get_environment(model), sizes_bytes), sizes_bytes, strict=False):
        if file is not None and size_bytes is not None and file.size_bytes < size_bytes:
            logger.warning(
                "%s has %d bytes, but had %d at the checkpoint: earlier episodes are lost. Was it opened without"
                " override_existing=False?",
                file.path,
                file.size_bytes,
                size_bytes,
            )
