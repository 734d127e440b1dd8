"""
Capture only the rows of a replay buffer that were added since the last checkpoint.

A replay buffer is a ring of rows, each with one transition of every environment. Counted from the first row ever
written, row ``i`` is at ``i % buffer_rows``; of ``written_rows`` rows the last ``buffer_rows`` exist. A checkpoint
captures the rows since the previous one and refers to files for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.her import HerReplayBuffer

from sb3_ext.algorithms.board_buffers import BoardReplayBuffer
from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.checkpoints.state.replay_rows import CopiedRows, LiveRows, Rows, read_ring
from sb3_ext.errors import CheckpointError
from sb3_ext.internals.sb3 import get_open_episode_starts

SUPPORTED = (ReplayBuffer, DictReplayBuffer, NStepReplayBuffer, HerReplayBuffer, BoardReplayBuffer)
_ROW_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "ep_start")
_SEGMENT_BYTES = 64 * 2**20
_MOST_SEGMENT_ROWS = 2**16


@dataclass(frozen=True)
class Piece:
    """
    A file of consecutive rows.

    :param file: its name in ``replay/``
    :param first: its first row, counted from the first ever written
    :param stop: the row after its last
    """

    file: str
    first: int
    stop: int


@dataclass(frozen=True)
class ReplayIndex:
    """
    The content of ``replay/``.

    :param buffer_class: the buffer's class name
    :param buffer_rows: rows in the ring
    :param num_envs: transitions in a row
    :param segment_rows: pieces are merged into files of this many rows
    :param written_rows: rows ever written
    :param step: environment transitions so far, which bound how often the ring has wrapped since
    :param pieces: files of rows, oldest first; where two overlap, the later one is valid
    :param infos: files of HER's info dictionaries, oldest first, if it keeps them
    """

    buffer_class: str
    buffer_rows: int
    num_envs: int
    segment_rows: int
    written_rows: int
    step: int
    pieces: tuple[Piece, ...] = ()
    infos: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class ReplaySnapshot:
    """
    The part of a buffer that a checkpoint captures.

    :param index: index of ``replay/``, with the pieces on disk that are still needed
    :param first: the first new row
    :param rows: the new rows
    :param infos: info dictionaries of these rows, a list for each row; ``None`` if the buffer keeps none
    :param extras: data that every checkpoint captures in full: small, or changed after it was added
    """

    index: ReplayIndex
    first: int
    rows: Rows
    infos: list[list[dict[str, Any]]] | None
    extras: dict[str, Array]


def capture_replay(
    buffer: ReplayBuffer, previous: ReplayIndex | None, *, read_step: Callable[[], int], is_sent: bool = False
) -> ReplaySnapshot:
    """
    Capture the rows that no file has yet, without a copy if training does not overwrite them soon.

    :param buffer: one of the :data:`SUPPORTED` buffers
    :param previous: index of the previous checkpoint, or of the one that the buffer was restored from; ``None``
        captures the whole buffer
    :param read_step: reads the model's ``num_timesteps``
    :param is_sent: copy all rows, since the snapshot is sent to another process
    :return: the rows as they are now
    :raises CheckpointError: if the class of the buffer is not supported
    """
    if type(buffer) not in SUPPORTED:
        expected = ", ".join(known.__name__ for known in SUPPORTED)
        raise CheckpointError(
            f"the replay buffer is a {type(buffer).__name__}, which cannot be saved; supported are {expected}"
        )
    rings, step = dict(list_row_arrays(buffer)), read_step()
    index, first = _continue_index(buffer, previous, step) or _start_index(buffer, step)
    stop = index.written_rows
    # Unless the writer is much slower than training, it reads these rows long before training overwrites them.
    is_safe = not is_sent and buffer.buffer_size - (stop - first) > stop - first
    return ReplaySnapshot(
        index=index,
        first=first,
        rows=LiveRows(rings, first, stop, buffer, read_step) if is_safe else CopiedRows(rings, first, stop),
        infos=_copy_infos(buffer, first, stop),
        extras=_copy_extras(buffer),
    )


def list_row_arrays(buffer: ReplayBuffer) -> Iterator[tuple[str, Array]]:
    """
    :param buffer: a supported buffer
    :return: name and array, shape ``(buffer_rows, num_envs, …)``, of everything that it keeps row by row
    """
    for name in _ROW_ARRAYS:
        value = vars(buffer).get(name)
        if isinstance(value, Mapping):
            yield from ((f"{name}/{key}", array) for key, array in value.items())
        elif value is not None:
            yield name, value


def restore_extras(buffer: ReplayBuffer, index: ReplayIndex, extras: Mapping[str, Array]) -> None:
    """
    Restore everything but the rows, which must be restored already.

    :param buffer: the buffer
    :param index: index of the checkpoint
    :param extras: captured extras
    """
    buffer.pos = index.written_rows % index.buffer_rows
    buffer.full = index.written_rows >= index.buffer_rows
    if buffer.optimize_memory_usage:
        buffer.observations[buffer.pos] = extras["next_row"]
    if isinstance(buffer, HerReplayBuffer):
        buffer.ep_length[:] = extras["ep_length"]
        get_open_episode_starts(buffer)[:] = extras["_current_ep_start"]


def _start_index(buffer: ReplayBuffer, step: int) -> tuple[ReplayIndex, int]:
    written = buffer.buffer_size + buffer.pos if buffer.full else buffer.pos
    index = ReplayIndex(
        buffer_class=type(buffer).__name__,
        buffer_rows=buffer.buffer_size,
        num_envs=buffer.n_envs,
        segment_rows=_choose_segment_rows(buffer),
        written_rows=written,
        step=step,
    )
    return index, written - buffer.size()


def _continue_index(buffer: ReplayBuffer, previous: ReplayIndex | None, step: int) -> tuple[ReplayIndex, int] | None:
    """:return: ``None`` if the ring may have wrapped completely or was emptied, so that no file can be used"""
    rows = buffer.buffer_size
    if previous is None or previous.buffer_rows != rows:
        return None
    if not 0 <= step - previous.step < rows * buffer.n_envs:
        return None
    written = previous.written_rows + (buffer.pos - previous.written_rows) % rows
    if buffer.full != (written >= rows):
        return None
    oldest = written - buffer.size()
    # Capture the last row again: SB3 ends the trajectory there at the next call of learn().
    first = max(oldest, previous.written_rows - 1)
    pieces, infos = (_drop_dead(known, oldest, first) for known in (previous.pieces, previous.infos))
    return replace(previous, written_rows=written, step=step, pieces=pieces, infos=infos), first


def _choose_segment_rows(buffer: ReplayBuffer) -> int:
    row_bytes = sum(array.nbytes for _, array in list_row_arrays(buffer)) // buffer.buffer_size
    return max(1, min(buffer.buffer_size, _MOST_SEGMENT_ROWS, _SEGMENT_BYTES // row_bytes))


def _drop_dead(pieces: tuple[Piece, ...], oldest: int, first_copied: int) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if piece.stop > oldest and piece.first < first_copied)


def _copy_infos(buffer: ReplayBuffer, first: int, stop: int) -> list[list[dict[str, Any]]] | None:
    if not (isinstance(buffer, HerReplayBuffer) and buffer.copy_info_dict):
        return None
    copied: list[list[dict[str, Any]]] = read_ring(buffer.infos, first, stop).tolist()
    return copied


def _copy_extras(buffer: ReplayBuffer) -> dict[str, Array]:
    extras = {}
    if buffer.optimize_memory_usage:
        # The next row already holds the last transition's next observation.
        extras["next_row"] = buffer.observations[buffer.pos].copy()
    if isinstance(buffer, HerReplayBuffer):
        # An episode's length is written into all of its rows when it ends, and cleared when it is overwritten.
        extras["ep_length"] = buffer.ep_length.copy()
        extras["_current_ep_start"] = get_open_episode_starts(buffer).copy()
    return extras
