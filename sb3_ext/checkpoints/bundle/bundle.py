"""
A checkpoint on disk: a directory that is either complete or does not exist.

::

    step_000010000/
    ├── model.zip             as saved by stock SB3: PPO.load(…/model.zip) works
    ├── weights.safetensors   every policy tensor once, loadable without running code
    ├── vecnormalize.npz      statistics and running returns, no pickle
    ├── replay/               off-policy: the buffer, see replay_files.py
    ├── state/                further state for an exact resume, see state_files.py
    ├── ranks/1/              state/ and replay/ of a second rank, and so on
    └── manifest.json         written last: description, size and sha256 of every file
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
from sb3_ext.checkpoints.bundle.manifest import FileEntry, Manifest, Score, parse_manifest, render_manifest
from sb3_ext.checkpoints.bundle.versions import read_versions
from sb3_ext.checkpoints.formats.arrays import Array, read_arrays, write_arrays
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.replay_buffer import ReplaySnapshot
from sb3_ext.errors import CheckpointError

MODEL, WEIGHTS, NORMALIZATION, MANIFEST = "model.zip", "weights.safetensors", "vecnormalize.npz", "manifest.json"
_LARGEST_MANIFEST_BYTES = 64 * 2**20
_RANKS = "ranks"
_FOR_RESUME = (f"{replay_files.FOLDER}/", f"{state_files.FOLDER}/", f"{_RANKS}/")


@dataclass(frozen=True)
class Bundle:
    """
    A checkpoint on disk.

    :param path: its directory
    :param manifest: its manifest
    """

    path: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Environment transitions so far."""
        return self.manifest.step

    @property
    def score(self) -> Score | None:
        """Its score; ``None`` if it has none."""
        return self.manifest.score

    @property
    def model_path(self) -> Path:
        """The file that stock SB3 loads."""
        return self.path / MODEL

    @property
    def weights_path(self) -> Path:
        """The file with the policy's tensors."""
        return self.path / WEIGHTS

    @property
    def has_replay(self) -> bool:
        """Whether it contains a replay buffer."""
        return replay_files.INDEX in self.manifest.files

    def read_normalization(self) -> dict[str, Array] | None:
        """
        :return: arrays for ``restore_normalization``; ``None`` without ``VecNormalize``
        :raises CheckpointError: if it cannot be read
        """
        if NORMALIZATION not in self.manifest.files:
            return None
        try:
            with open(self.path / NORMALIZATION, "rb") as file:
                return dict(read_arrays(file))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / NORMALIZATION} cannot be read: {error}") from error

    def get_part_path(self, rank: int) -> Path:
        """
        :param rank: index of a rank
        :return: the directory of its ``state/`` and ``replay/``
        """
        return self.path if rank == 0 else self.path / _RANKS / str(rank)

    def read_state(self, rank: int = 0) -> CapturedState:
        """
        Read the state for a resume. This reads pickles, so only call it for a trusted checkpoint.

        :param rank: index of the process that trained, if there were several
        :return: the state, in the newest format
        :raises CheckpointError: if the bundle has none, or it cannot be read
        """
        return state_files.read_state(self.get_part_path(rank), self.manifest.format)


def write_bundle(path: Path, content: BundleContent, previous: Bundle | None = None) -> Bundle:
    """
    Write a checkpoint completely or not at all.

    :param path: its directory, which must not exist, unlike its parent
    :param content: the captured content
    :param previous: bundle with the replay rows that the content refers to
    :return: the bundle
    :raises CheckpointError: if the disk fails or is full, or memory runs out; nothing is left behind
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
                ranks=1 + len(content.parts),
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
    _write_part(files, content.state, content.replay, None if previous is None else previous.path, previous)
    for rank, part in enumerate(content.parts, 1):
        folder = files.open_folder(f"{_RANKS}/{rank}")
        source = None if previous is None else previous.get_part_path(rank)
        _write_part(folder, part.state, part.replay, source, previous)


def _write_part(
    files: BundleFiles,
    state: CapturedState | None,
    replay: ReplaySnapshot | None,
    source: Path | None,
    previous: Bundle | None,
) -> None:
    if replay is not None:
        replay_files.write_replay(replay, files, source, {} if previous is None else _list_part(previous, source))
    if state is not None:
        state_files.write_state(state, files)


def _list_part(bundle: Bundle, folder: Path | None) -> dict[str, FileEntry]:
    """:return: the files in a folder of a bundle, by their paths in that folder"""
    prefix = "" if folder is None or folder == bundle.path else f"{folder.relative_to(bundle.path).as_posix()}/"
    files = bundle.manifest.files
    return {name.removeprefix(prefix): entry for name, entry in files.items() if name.startswith(prefix)}


def open_bundle(path: Path) -> Bundle:
    """
    Read a bundle's manifest, and check that all its files exist with the right sizes, without reading them.

    :param path: its directory
    :return: the bundle
    :raises CheckpointError: if it is damaged, or not a bundle
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
        raise CheckpointError(f"{path} is not a checkpoint: it has no {MANIFEST}") from None
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
    Compare the sha256 of every file with the manifest.

    :param path: the bundle's directory
    :param known_good: files to skip: hard links to files that were verified in an earlier bundle
    :param playing_only: skip the replay buffer and the state, which only a resume needs
    :return: the bundle
    :raises CheckpointError: if any file differs
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
    Record the score of an evaluation that ended after the bundle was written.

    :param bundle: the bundle
    :param score: its score
    :return: the updated bundle
    :raises CheckpointError: if the disk fails or is full; the bundle is then unchanged
    """
    manifest = dataclasses.replace(bundle.manifest, score=score)
    try:
        write_text(bundle.path / MANIFEST, render_manifest(manifest))
    except OSError as error:
        raise CheckpointError(f"{bundle.path / MANIFEST} could not be written: {error.strerror or error}") from error
    return Bundle(bundle.path, manifest)
