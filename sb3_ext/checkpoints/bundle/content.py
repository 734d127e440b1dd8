"""Capture the content of a checkpoint between two rollouts, to hash, compress and write it later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.checkpoints.model.architecture import ModelDescription, describe_model
from sb3_ext.checkpoints.model.model_snapshot import ModelSnapshot, capture_model
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.replay_buffer import SUPPORTED, ReplayIndex, ReplaySnapshot, capture_replay
from sb3_ext.checkpoints.state.training_state import capture_state
from sb3_ext.vec.snapshots.exactness import Exactness


@dataclass(frozen=True)
class RankPart:
    """
    What a rank other than rank 0 adds to a checkpoint: its environments, random numbers and replay buffer.

    :param state: state for an exact resume of this rank
    :param replay: new rows of its replay buffer; ``None`` without one
    """

    state: CapturedState
    replay: ReplaySnapshot | None


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
    :param parts: parts of the other ranks, from rank 1 on
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
    parts: tuple[RankPart, ...] = ()


def capture_content(
    model: BaseAlgorithm,
    *,
    episode: int = 0,
    score: Score | None = None,
    state: CapturedState | None = None,
    replay_since: ReplayIndex | None = None,
    parts: Sequence[RankPart] = (),
) -> BundleContent:
    """
    Copy everything that training will change.

    :param model: the model, between two rollouts
    :param episode: episodes finished so far
    :param score: its score; ``None`` if it has none yet
    :param state: further state for an exact resume
    :param replay_since: index of the replay rows that are on the disk already
    :param parts: parts of the other ranks, from rank 1 on
    :return: the copy
    :raises CheckpointError: if the model has an attribute that cannot be pickled
    """
    exactness = Exactness(False, "no state was captured") if state is None else state.exactness
    for part in parts:
        exactness = exactness if part.state.exactness.exact else part.state.exactness
    normalize = model.get_vec_normalize_env()
    ranks = 1 + len(parts)

    def read_step() -> int:
        return model.num_timesteps // ranks  # transitions of this buffer

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
        replay=None if buffer is None else capture_replay(buffer, replay_since, read_step=read_step),
        state=state,
        parts=tuple(parts),
    )


def capture_part(
    model: BaseAlgorithm,
    callbacks: BaseCallback | Sequence[BaseCallback],
    *,
    ranks: int,
    replay_since: ReplayIndex | None,
    after_learn: bool = False,
) -> RankPart:
    """
    Copy what a rank other than rank 0 adds to a checkpoint. Everything is copied, to be sent to rank 0.

    :param model: the model of this rank, between two rollouts
    :param callbacks: the callbacks of ``learn``
    :param ranks: number of ranks, whose transitions ``num_timesteps`` counts
    :param replay_since: index of the replay rows that are on the disk already
    :param after_learn: whether ``learn`` has returned; otherwise a rollout begins
    :return: the copy
    :raises CheckpointError: if the state of a callback cannot be saved
    """
    state = capture_state(model, callbacks, after_learn=after_learn)
    buffer: Any = getattr(model, "replay_buffer", None)
    if buffer is None or type(buffer) not in SUPPORTED:
        return RankPart(state, None)
    replay = capture_replay(buffer, replay_since, read_step=lambda: model.num_timesteps // ranks, is_sent=True)
    return RankPart(state, replay)
