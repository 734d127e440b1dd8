"""
A replay buffer on disk.

::

    replay/
    ├── index.json                             which file has which rows
    ├── rows_000000000000_000000004096.npz     rows, never changed; later bundles share them
    ├── infos_000000000000_000000004096.pkl    HER's info dictionaries of these rows, if it keeps them
    └── extras.npz                             other data, which every bundle writes in full

Rows of large buffers are shared as hard links: a bundle only takes the space of new rows, but damage to a shared file
affects all bundles that have it. Rows of small buffers are copied.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from stable_baselines3.common.buffers import ReplayBuffer

from sb3_ext.checkpoints.bundle.bundle_files import BundleFiles
from sb3_ext.checkpoints.bundle.manifest import FileEntry
from sb3_ext.checkpoints.formats.arrays import Array, read_arrays, write_arrays
from sb3_ext.checkpoints.state.replay_buffer import (
    Piece,
    ReplayIndex,
    ReplaySnapshot,
    list_row_arrays,
    restore_extras,
)
from sb3_ext.checkpoints.state.replay_rows import write_ring
from sb3_ext.errors import CheckpointError

FOLDER = "replay"
INDEX, _EXTRAS = f"{FOLDER}/index.json", f"{FOLDER}/extras.npz"
_MOST_PIECES = 8
"""A complete segment in more pieces than this is merged into one file."""
_COPIED_BYTES = 16 * 2**20
"""Rows of buffers up to this size are copied from bundle to bundle."""


class LostRowsError(CheckpointError):
    """Rows of an earlier bundle are missing or damaged and must be captured again."""


def write_replay(
    snapshot: ReplaySnapshot, files: BundleFiles, source: Path | None, entries: Mapping[str, FileEntry]
) -> ReplayIndex:
    """
    Write new rows, and share the files of earlier ones.

    :param snapshot: the captured buffer
    :param files: the bundle being written
    :param source: bundle with the files of the snapshot's index; ``None`` if it has none
    :param entries: entries of that bundle's files
    :return: index of the bundle being written
    :raises LostRowsError: if the earlier bundle does not have its rows
    :raises CheckpointError: if training overwrote the rows before they were written
    :raises OSError: if the disk fails or is full
    """
    kept, new = list(snapshot.index.pieces), []
    for first, stop in _split(snapshot.first, snapshot.index.written_rows, snapshot.index.segment_rows):
        rows = snapshot.rows.read(first, stop)
        segment_first = first - first % snapshot.index.segment_rows
        earlier = [piece for piece in kept if piece.first >= segment_first]
        is_complete = stop == segment_first + snapshot.index.segment_rows
        if source is not None and is_complete and len(earlier) >= _MOST_PIECES:
            kept = kept[: -len(earlier)]
            first, rows = _merge(source / FOLDER, earlier, first, rows)
        new.append(_write_piece(files, first, rows))
    infos = list(snapshot.index.infos)
    _share_pieces([*kept, *infos], files, source, entries)
    if snapshot.infos is not None:
        infos.append(_write_infos(files, snapshot))
    if snapshot.extras:
        files.write(_EXTRAS, lambda file: write_arrays(file, snapshot.extras, compress=True))
    index = dataclasses.replace(snapshot.index, pieces=(*kept, *new), infos=tuple(infos))
    files.write_bytes(INDEX, _make_adapter().dump_json(index, indent=2))
    return index


def restore_replay(buffer: ReplayBuffer, bundle: Path) -> ReplayIndex:
    """
    Restore the rows of a verified bundle exactly. The bundle must be trusted: HER's info dictionaries are pickled.

    :param buffer: a new buffer
    :param bundle: directory of the bundle
    :return: index of the bundle, for the next :func:`sb3_ext.checkpoints.state.replay_buffer.capture_replay`
    :raises CheckpointError: if the buffer is of another class, size, or number of environments
    """
    index = read_replay_index(bundle)
    _validate_fit(buffer, index)
    arrays = dict(list_row_arrays(buffer))
    for piece in index.pieces:
        with open(bundle / FOLDER / piece.file, "rb") as file:
            for name, rows in read_arrays(file):
                _validate_rows(piece, name, rows, arrays)
                write_ring(arrays[name], piece.first, rows)
    for piece in index.infos:
        with open(bundle / FOLDER / piece.file, "rb") as file:
            infos = np.empty((piece.stop - piece.first, index.num_envs), object)
            infos[:] = pickle.load(file)
            write_ring(vars(buffer)["infos"], piece.first, infos)
    restore_extras(buffer, index, _read_extras(bundle))
    return index


def restore_shared_replay(buffer: ReplayBuffer, folders: Sequence[Path], first_env: int) -> None:
    """
    Restore the rows of some environments from the buffers of several ranks.

    :param buffer: a new buffer for consecutive environments
    :param folders: directories of the ranks' ``replay/``, by rank; together they have the rows of all environments
    :param first_env: index of the buffer's first environment among all
    :raises CheckpointError: if a buffer is of another class or size
    """
    indices = [read_replay_index(folder) for folder in folders]
    arrays = dict(list_row_arrays(buffer))
    parts: dict[str, list[Array]] = {}
    start = 0
    for folder, index in zip(folders, indices, strict=True):
        _validate_fit(buffer, replace(index, num_envs=buffer.n_envs))
        shared = range(max(start, first_env), min(start + index.num_envs, first_env + buffer.n_envs))
        source = slice(shared.start - start, max(shared.stop - start, 0))
        target = slice(shared.start - first_env, max(shared.stop - first_env, 0))
        start += index.num_envs
        if not shared:
            continue
        for piece in index.pieces:
            with open(folder / FOLDER / piece.file, "rb") as file:
                for name, rows in read_arrays(file):
                    write_ring(arrays[name][:, target], piece.first, rows[:, source])
        for piece in index.infos:
            with open(folder / FOLDER / piece.file, "rb") as file:
                infos = np.empty((piece.stop - piece.first, index.num_envs), object)
                infos[:] = pickle.load(file)
                write_ring(vars(buffer)["infos"][:, target], piece.first, infos[:, source])
        for name, extra in _read_extras(folder).items():
            parts.setdefault(name, []).append(extra[..., source] if name == "ep_length" else extra[source])
    joined = {name: np.concatenate(found, axis=1 if name == "ep_length" else 0) for name, found in parts.items()}
    restore_extras(buffer, replace(indices[0], num_envs=buffer.n_envs), joined)


def read_replay_index(bundle: Path) -> ReplayIndex:
    """
    :param bundle: directory of a bundle with a replay buffer
    :return: its index
    :raises CheckpointError: if the index is missing or invalid
    """
    try:
        return _make_adapter().validate_json((bundle / INDEX).read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{bundle / INDEX} cannot be read: {reason}") from error


def _share_pieces(
    pieces: list[Piece], files: BundleFiles, source: Path | None, entries: Mapping[str, FileEntry]
) -> None:
    names = [f"{FOLDER}/{piece.file}" for piece in pieces]
    for name in names:
        if source is None or name not in entries:
            raise LostRowsError(f"{name} is missing in the previous checkpoint, {source}")
        may_link = sum(entries[name].size_bytes for name in names) > _COPIED_BYTES
        try:
            files.share(name, source / name, entries[name], may_link=may_link)
        except FileNotFoundError as error:
            raise LostRowsError(f"{source / name} no longer exists") from error


def _split(first: int, stop: int, segment_rows: int) -> Iterator[tuple[int, int]]:
    while first < stop:
        end = min(stop, first - first % segment_rows + segment_rows)
        yield first, end
        first = end


def _merge(folder: Path, earlier: list[Piece], first: int, rows: dict[str, Array]) -> tuple[int, dict[str, Array]]:
    stop = first + len(rows["rewards"])
    start = earlier[0].first
    merged = {name: np.empty((stop - start, *array.shape[1:]), array.dtype) for name, array in rows.items()}
    for piece in earlier:
        try:
            with open(folder / piece.file, "rb") as file:
                for name, array in read_arrays(file):
                    merged[name][piece.first - start : piece.stop - start] = array
        except (FileNotFoundError, ValueError) as error:
            raise LostRowsError(f"{folder / piece.file} cannot be read: {error}") from error
    for name, array in rows.items():
        merged[name][first - start :] = array
    return start, merged


def _write_piece(files: BundleFiles, first: int, rows: Mapping[str, Array]) -> Piece:
    piece = _name_piece("rows", first, first + len(rows["rewards"]), "npz")
    files.write(f"{FOLDER}/{piece.file}", lambda file: write_arrays(file, rows))
    return piece


def _write_infos(files: BundleFiles, snapshot: ReplaySnapshot) -> Piece:
    piece = _name_piece("infos", snapshot.first, snapshot.index.written_rows, "pkl")
    try:
        content = pickle.dumps(snapshot.infos, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # info dictionaries can contain anything
        raise CheckpointError(f"the environment's info dictionaries cannot be saved: {error}") from error
    files.write_bytes(f"{FOLDER}/{piece.file}", content)
    return piece


def _name_piece(kind: str, first: int, stop: int, suffix: str) -> Piece:
    return Piece(f"{kind}_{first:012d}_{stop:012d}.{suffix}", first, stop)


def _read_extras(bundle: Path) -> dict[str, Array]:
    if not (bundle / _EXTRAS).exists():
        return {}
    with open(bundle / _EXTRAS, "rb") as file:
        return dict(read_arrays(file, compressed=True))


def _validate_fit(buffer: ReplayBuffer, index: ReplayIndex) -> None:
    found = (index.buffer_class, index.buffer_rows, index.num_envs)
    expected = (type(buffer).__name__, buffer.buffer_size, buffer.n_envs)
    for what, of_checkpoint, of_model in zip(("class", "rows", "environments"), found, expected, strict=True):
        if of_checkpoint != of_model:
            raise CheckpointError(
                f"the checkpoint's replay buffer does not fit: {what} {of_checkpoint}, but the model's has {of_model}"
            )


def _validate_rows(piece: Piece, name: str, rows: Array, arrays: Mapping[str, Any]) -> None:
    array = arrays.get(name)
    if array is None or (array.dtype, array.shape[1:]) != (rows.dtype, rows.shape[1:]):
        expected = "no such array" if array is None else f"{array.dtype}{list(array.shape[1:])}"
        raise CheckpointError(
            f"{piece.file}: {name} holds {rows.dtype}{list(rows.shape[1:])}, but the model's buffer has {expected}"
        )


@functools.cache
def _make_adapter() -> TypeAdapter[ReplayIndex]:
    return TypeAdapter(ReplayIndex)  # takes milliseconds, so not at the import
