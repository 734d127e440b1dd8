"""What a run that was interrupted and one that was not must have in common, to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.save_util import recursive_getattr

import sb3_ext
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.replay_files import FOLDER, read_replay_index, restore_replay
from sb3_ext.checkpoints.formats.arrays import read_arrays
from sb3_ext.checkpoints.state.replay_buffer import list_row_arrays
from sb3_ext.checkpoints.state.replay_rows import write_ring
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.run import Run

_TIMES = ("elapsed_seconds", "time/fps", "time/time_elapsed", "time/eta_seconds")


def digest_run(directory: Path) -> dict[str, str]:
    """
    :param directory: a run directory
    :return: the sha256 of each part: what its latest checkpoint restores, and what it has recorded; times are left out
    """
    run = Run(directory)
    bundle = CheckpointStore(run.paths.checkpoints).resolve("latest")
    model: Any = sb3_ext.load(bundle.path, trust=True, device="cpu")
    parameters = model.get_parameters()
    optimizers = {name: part for name, part in parameters.items() if "optimizer" in name}
    weights = [part for name, part in parameters.items() if name not in optimizers]
    variables = [recursive_getattr(model, name) for name in model._get_torch_save_params()[1]]
    replay: list[Any] = []
    if bundle.has_replay:
        restore_replay(model.replay_buffer, bundle.path)
        replay = [dict(list_row_arrays(model.replay_buffer)), model.replay_buffer.pos, model.replay_buffer.full]
    evaluations = read_evaluations(run.paths.evaluations)
    parts = {
        "weights": [weights, variables],
        "optimizer": optimizers,
        "replay buffer": replay,
        "steps": [bundle.step, run.record.step, run.record.episode],
        "metrics": [leave_out_times(run.metrics[name]) for name in ("episodes", "training")],
        "Monitor rows": [_read_monitor(path) for path in sorted(run.paths.monitor.iterdir())],
        "opponents": _list_opponents(run.paths.opponents, bundle),
        "evaluations": [leave_out_times(evaluation) for evaluation in evaluations],
        "other ranks": [_read_rank(bundle, rank) for rank in range(1, bundle.manifest.ranks)],
    }
    return {name: _digest(part) for name, part in parts.items()}


def _read_rows(part: Path) -> dict[str, Any]:
    """:return: the rows that a part's replay buffer has, however they are divided over files"""
    index, rings = read_replay_index(part), {}
    for piece in index.pieces:
        with open(part / FOLDER / piece.file, "rb") as file:
            for name, rows in read_arrays(file):
                ring = rings.setdefault(name, np.zeros((index.buffer_rows, *rows.shape[1:]), rows.dtype))
                write_ring(ring, piece.first, rows)
    return rings


def _read_rank(bundle: Bundle, rank: int) -> list[Any]:
    """:return: random numbers, last observations and replay rows of a rank"""
    state = bundle.read_state(rank)
    rows = _read_rows(bundle.get_part_path(rank)) if bundle.has_replay else {}
    return [state.arrays, state.values["random"], rows]


def _list_opponents(directory: Path, bundle: Bundle) -> list[Any]:
    """Which evicted ones still have files depends on when checkpoints were written."""
    entries = bundle.read_state().values["callbacks"]
    pools = [dict(entry["state"]["pool"]) for entry in entries if entry["key"] == "opponent_pool"]
    for pool in pools:
        pool.pop("retired")
    files = [
        path.read_bytes() for pool in pools for name in pool["members"] for path in sorted((directory / name).iterdir())
    ]
    return [pools, files, [entry["state"] for entry in entries if entry["key"] == "rating"]]


def leave_out_times(columns: Mapping[str, Any]) -> dict[str, Any]:
    """
    :param columns: a section of ``metrics.json``, or an evaluation
    :return: the same without what no two runs have in common
    """
    return {name: values for name, values in columns.items() if name not in _TIMES}


def _read_monitor(path: Path) -> list[list[str]]:
    return [row.split(",")[:2] for row in path.read_text().splitlines()[1:]]


def _digest(value: Any) -> str:
    digest = hashlib.sha256()
    for item in _flatten(value):
        digest.update(item)
    return digest.hexdigest()


def _flatten(value: Any) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield str(name).encode()
            yield from _flatten(value[name])
    elif isinstance(value, list | tuple):
        yield f"{len(value)} items".encode()
        for item in value:
            yield from _flatten(item)
    elif isinstance(value, torch.Tensor):
        yield value.detach().cpu().numpy().tobytes()
    elif isinstance(value, bytes):
        yield value
    else:
        yield value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
