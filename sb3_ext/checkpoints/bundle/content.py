"""Capture the content of a checkpoint between two rollouts, to hash, compress and write it later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.checkpoints.model.architecture import ModelDescription, describe_model
from sb3_ext.checkpoints.model.model_snapshot import ModelSnapshot, capture_model
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.replay_buffer import SUPPORTED, ReplayIndex, ReplaySnapshot, capture_replay
from sb3_ext.vec.snapshots.exactness import Exactness


@dataclass(frozen=True)
class BundleContent:
    """
    The content of a bundle. It does not change with training; replay rows that are not overwritten soon are not copied.

    :param step: environment transitions so far
    :param episode: episodes finished so far
    :param time: time of the capture, UTC, ISO 8601
    :param score: its score; ``None`` if it has none yet
    :param exactness: whether a resume from it is exact, and the reason
    :param description: description from which the model can be built
    :param model: attributes and tensors of the model
    :param normalization: state of ``VecNormalize``; ``None`` without it
    :param replay: new rows of the replay buffer; ``None`` without one
    :param state: further state for an exact resume; ``None`` without it
    """

    step: int
    episode: int
    time: str
    score: Score | None
    exactness: Exactness
    description: ModelDescription
    model: ModelSnapshot
    normalization: dict[str, Array] | None
    replay: ReplaySnapshot | None
    state: CapturedState | None


def capture_content(
    model: BaseAlgorithm,
    *,
    episode: int = 0,
    score: Score | None = None,
    state: CapturedState | None = None,
    replay_since: ReplayIndex | None = None,
) -> BundleContent:
    """
    Copy everything that training will change.

    :param model: the model, between two rollouts
    :param episode: episodes finished so far
    :param score: its score; ``None`` if it has none yet
    :param state: further state for an exact resume
    :param replay_since: index of the replay rows that are on the disk already
    :return: the copy
    :raises CheckpointError: if the model has an attribute that cannot be pickled
    """
    exactness = Exactness(False, "no state was captured") if state is None else state.exactness
    normalize = model.get_vec_normalize_env()
    buffer: Any = getattr(model, "replay_buffer", None)
    if buffer is not None and type(buffer) not in SUPPORTED:
        exactness = Exactness(False, f"the replay buffer is a {type(buffer).__name__}, which cannot be saved")
        buffer = None
    return BundleContent(
        step=model.num_timesteps,
        episode=episode,
        time=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        score=score,
        exactness=exactness,
        description=describe_model(model),
        model=capture_model(model),
        normalization=None if normalize is None else capture_normalization(normalize),
        replay=None if buffer is None else capture_replay(buffer, replay_since, read_step=lambda: model.num_timesteps),
        state=state,
    )
