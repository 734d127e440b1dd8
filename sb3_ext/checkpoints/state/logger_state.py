"""Restore values that SB3's logger has not dumped yet, and remove TensorBoard points after the checkpoint."""

from __future__ import annotations

import pickle

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import TensorBoardOutputFormat

from sb3_ext.checkpoints.state.captured_state import CapturedState


def capture_logger(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    """
    log = model.logger
    values = {name: value for name, value in log.name_to_value.items() if isinstance(value, np.ScalarType)}
    counts = {name: count for name, count in log.name_to_count.items() if name in values}
    excluded = {name: formats for name, formats in log.name_to_excluded.items() if name in values}
    state.blobs["logger"] = pickle.dumps((values, counts, excluded))


def restore_logger(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Restore the values, and remove the TensorBoard points that training will log again.

    :param model: the model in ``learn``, with its logger
    :param state: the captured state
    """
    log = model.logger
    values, counts, excluded = pickle.loads(state.blobs["logger"])
    log.name_to_value.clear()
    log.name_to_count.clear()
    log.name_to_excluded.clear()
    log.name_to_value.update(values)
    log.name_to_count.update(counts)
    log.name_to_excluded.update(excluded)
    for output in log.output_formats:
        if isinstance(output, TensorBoardOutputFormat):
            # Points at the step of the checkpoint itself were written before it.
            _purge_from(output, model.num_timesteps + 1)


def _purge_from(output: TensorBoardOutputFormat, step: int) -> None:
    output.writer.close()
    output.writer = type(output.writer)(log_dir=output.writer.log_dir, purge_step=step)
