"""
One checkpoint on disk: a directory that is there whole, or not at all.

::

    step_000010000/
    ├── model.zip             what stock SB3 saves: PPO.load(…/model.zip) works
    ├── weights.safetensors   every policy tensor once, loadable without running code
    ├── vecnormalize.npz      statistics and running returns, no pickle
    ├── replay/               off-policy: the buffer, see replay_files.py
    ├── state/                what else an exact resume needs, see state_files.py
    └── manifest.json         written last: what this is, and the size and sha256 of every file
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sb3_ext.atomic import create_directory, write_text
from sb3_ext.checkpoints.bundle import replay_files, state_files
from sb3_ext.checkpoints.bundle.bundle_files import BundleFiles, describe_file
from sb3_ext.checkpoints.bundle.content import BundleContent
from sb3_ext.checkpoints.bundle.manifest import Manifest, Score, parse_manifest, render_manifest
from sb3_ext.checkpoints.bundle.versions import read_versions
from sb3_ext.checkpoints.formats.arrays import Array, read_arrays, write_arrays
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError

MODEL, WEIGHTS, NORMALIZATION, MANIFEST = "model.zip", "weights.safetensors", "vecnormalize.npz", "manifest.json"
_LARGEST_MANIFEST_BYTES = 64 * 2**20
_FOR_RESUME = (f"{replay_files.FOLDER}/", f"{state_files.FOLDER}/")


@dataclass(frozen=True)
class Bundle:
    """
    A checkpoint that was found on disk.

    :param path: its directory
    :param manifest: what it says of itself
    """

    path: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Environment transitions so far."""
        return self.manifest.step

    @property
    def score(self) -> Score | None:
        """How good it is, where that is known."""
        return self.manifest.score

    @property
    def model_path(self) -> Path:
        """What stock SB3 loads."""
        return self.path / MODEL

    @property
    def weights_path(self) -> Path:
        """The policy's tensors."""
        return self.path / WEIGHTS

    @property
    def has_replay(self) -> bool:
        """Whether a replay buffer is in it."""
        return replay_files.INDEX in self.manifest.files

    def read_normalization(self) -> dict[str, Array] | None:
        """
        :return: what ``restore_normalization`` takes; ``None`` without
            ``VecNormalize``
        :raises CheckpointError: if it cannot be read
        """
        if NORMALIZATION not in self.manifest.files:
            return None
        try:
            with open(self.path / NORMALIZATION, "rb") as file:
                return dict(read_arrays(file))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / NORMALIZATION} cannot be read: {error}") from error

    def read_state(self) -> CapturedState:
        """
        Read what only a resume needs. This reads pickles: only ever call it for a checkpoint of a run of one's own.

        :return: the state, in the newest format
        :raises CheckpointError: if the bundle has none, or it cannot be read
        """
        return state_files.read_state(self.path, self.manifest.format)


def write_bundle(path: Path, content: BundleContent, previous: Bundle | None = None) -> Bundle:
    """
    Write a checkpoint whole, or not at all.

    :param path: its directory, which must not exist; its parent does
    :param content: what was captured at the boundary
    :param previous: the bundle that has the replay rows that the content only refers to
    :return: the bundle
    :raises CheckpointError: on a failing or full disk, or without memory; nothing is left behind
    """
    try:
        with create_directory(path) as folder:
            files = BundleFiles(folder)
            _write_files(files, content, previous)
            manifest = Manifest(
                step=content.step,
                episode=content.episode,
                time=content.time,
                score=content.score,
                exact=content.exactness.exact,
                exact_reason=content.exactness.reason,
                versions=read_versions(),
                model=content.description,
                files=files.entries,
            )
            BundleFiles(folder).write_bytes(MANIFEST, render_manifest(manifest).encode())
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or repr(error)
        raise CheckpointError(f"checkpoint {path} could not be written: {reason}") from error
    return Bundle(path, manifest)


def _write_files(files: BundleFiles, content: BundleContent, previous: Bundle | None) -> None:
    files.write(MODEL, content.model.write_zip)
    files.write_bytes(WEIGHTS, content.model.serialize_weights())
    normalization = content.normalization
    if normalization is not None:
        files.write(NORMALIZATION, lambda file: write_arrays(file, normalization))
    if content.replay is not None:
        source, entries = (None, {}) if previous is None else (previous.path, previous.manifest.files)
        replay_files.write_replay(content.replay, files, source, entries)
    if content.state is not None:
        state_files.write_state(content.state, files)


def open_bundle(path: Path) -> Bundle:
    """
    Read a bundle's manifest, and look whether all its files are there; fast, and enough to list and to prune.

    :param path: its directory
    :return: the bundle
    :raises CheckpointError: if it is damaged, or no bundle
    """
    manifest = _read_manifest(path)
    try:
        for name, entry in manifest.files.items():
            _check_file(path, name, entry.size_bytes)
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
    return Bundle(path, manifest)


def _read_manifest(path: Path) -> Manifest:
    try:
        with open(path / MANIFEST, "rb") as file:
            return parse_manifest(file.read(_LARGEST_MANIFEST_BYTES))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is no checkpoint: it has no {MANIFEST}") from None
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def _check_file(path: Path, name: str, expected_bytes: int) -> None:
    file = path / name
    if file.is_symlink() or not file.is_file():
        raise CheckpointError(f"{name} is missing")
    found_bytes = file.stat().st_size
    if found_bytes != expected_bytes:
        raise CheckpointError(f"{name} has {found_bytes} bytes, expected {expected_bytes}")


def copy_for_playing(bundle: Bundle, path: Path) -> None:
    """
    Copy a checkpoint without what only a resume needs, such as the replay buffer.

    :param bundle: the checkpoint
    :param path: a new directory
    :raises OSError: on a failing or full disk
    """
    files = {name: entry for name, entry in bundle.manifest.files.items() if not name.startswith(_FOR_RESUME)}
    path.mkdir(parents=True)
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / name, path / name)
    write_text(path / MANIFEST, render_manifest(dataclasses.replace(bundle.manifest, files=files)))


def verify_bundle(path: Path, *, known_good: Collection[str] = (), playing_only: bool = False) -> Bundle:
    """
    Read every file, and compare its sha256 with the manifest's.

    :param path: the bundle's directory
    :param known_good: files that need not be read again: hard links to what was verified in an earlier bundle
    :param playing_only: leave out the replay buffer and the state, which only a resume needs
    :return: the bundle
    :raises CheckpointError: if a single bit differs
    """
    bundle = open_bundle(path)
    for name, entry in bundle.manifest.files.items():
        if name in known_good or (playing_only and name.startswith(_FOR_RESUME)):
            continue
        try:
            is_same = describe_file(path / name) == entry
        except OSError as error:
            raise CheckpointError(f"checkpoint {path} is damaged: {name}: {error.strerror}") from error
        if not is_same:
            raise CheckpointError(f"checkpoint {path} is damaged: the sha256 of {name} does not match")
    return bundle


def record_score(bundle: Bundle, score: Score) -> Bundle:
    """
    Give a bundle the score of an evaluation that ended after it was written.

    :param bundle: the bundle
    :param score: its score
    :return: the bundle as it is now
    :raises CheckpointError: on a failing or full disk; the bundle is then as it was
    """
    manifest = dataclasses.replace(bundle.manifest, score=score)
    try:
        write_text(bundle.path / MANIFEST, render_manifest(manifest))
    except OSError as error:
        raise CheckpointError(f"{bundle.path / MANIFEST} could not be written: {error.strerror or error}") from error
    return Bundle(bundle.path, manifest)
