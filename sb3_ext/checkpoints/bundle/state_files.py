"""
Files of a bundle, besides the model, that only an exact resume needs.

::

    state/
    ├── arrays.npz      no pickle
    ├── values.json
    └── blobs/*.bin     pickles; read only to resume a trusted run
"""

from __future__ import annotations

import json
from pathlib import Path

from sb3_ext.checkpoints.bundle.bundle_files import BundleFiles
from sb3_ext.checkpoints.bundle.migration import migrate_state
from sb3_ext.checkpoints.formats.arrays import read_arrays, write_arrays
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError

FOLDER = "state"
_ARRAYS, _VALUES, _BLOBS = f"{FOLDER}/arrays.npz", f"{FOLDER}/values.json", f"{FOLDER}/blobs"


def write_state(state: CapturedState, files: BundleFiles) -> None:
    """
    :param state: the captured state
    :param files: the bundle being written
    :raises OSError: if the disk fails or is full
    """
    files.write(_ARRAYS, lambda file: write_arrays(file, state.arrays))
    files.write_bytes(_VALUES, json.dumps(state.values, allow_nan=False, indent=2).encode())
    for name, blob in state.blobs.items():
        files.write_bytes(f"{_BLOBS}/{name}.bin", blob)


def read_state(bundle: Path, version: int) -> CapturedState:
    """
    :param bundle: the directory of a verified bundle
    :param version: the format of its manifest
    :return: the captured state
    :raises CheckpointError: if the bundle has no state, because it was copied for playing only
    """
    if not (bundle / _VALUES).exists():
        raise CheckpointError(f"checkpoint {bundle} has no {FOLDER}/: it can be loaded, but no run can resume from it")
    try:
        with open(bundle / _ARRAYS, "rb") as file:
            arrays = dict(read_arrays(file))
        values = json.loads((bundle / _VALUES).read_bytes())
        blobs = {
            path.relative_to(bundle / _BLOBS).as_posix().removesuffix(".bin"): path.read_bytes()
            for path in (bundle / _BLOBS).rglob("*.bin")
        }
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{bundle / FOLDER} cannot be read: {error}") from error
    return migrate_state(CapturedState(arrays=arrays, values=values, blobs=blobs), version)
