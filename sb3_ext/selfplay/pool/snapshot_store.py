"""
The snapshots of an opponent pool on disk. A snapshot is a directory that is written atomically.

::

    opponents/
    ├── episode_000000500/
    │   ├── weights.safetensors   every policy tensor once, loadable without running code
    │   ├── vecnormalize.npz      statistics of observations, where training had VecNormalize
    │   └── snapshot.json         what this is, and the sha256 of the other files
    └── episode_000001000/
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.atomic import remove_abandoned, write_directory
from sb3_ext.checkpoints.bundle.bundle_files import describe_file
from sb3_ext.checkpoints.formats.arrays import Array, read_arrays, write_arrays
from sb3_ext.checkpoints.formats.space_json import describe_space
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.checkpoints.formats.weights import read_weights_file, serialize_weights
from sb3_ext.checkpoints.model.architecture import describe_model
from sb3_ext.errors import CheckpointError, SelfPlayError
from sb3_ext.selfplay.games.game import Game

_DESCRIPTION, _WEIGHTS, _NORMALIZATION = "snapshot.json", "weights.safetensors", "vecnormalize.npz"
SNAPSHOT_PREFIX = "episode_"


@dataclass(frozen=True)
class Snapshot:
    """
    A verified snapshot of a policy on disk.

    :param path: its directory
    :param step: number of environment steps when it was taken
    :param episode: number of the pool's episodes when it was taken
    """

    path: Path
    step: int
    episode: int

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.name

    def read_weights(self) -> dict[str, torch.Tensor]:
        """:return: the policy's state dict, on the CPU"""
        return read_weights_file(self.path / _WEIGHTS)

    def read_normalization(self) -> dict[str, Array] | None:
        """:return: statistics of observations; ``None`` without ``VecNormalize``"""
        path = self.path / _NORMALIZATION
        if not path.exists():
            return None
        with open(path, "rb") as file:
            return dict(read_arrays(file))


class SnapshotStore:
    """
    Writes, finds and removes snapshots of one game.

    :param directory: directory of the snapshots; created when needed
    :param game: the game that they play
    """

    def __init__(self, directory: Path, game: Game) -> None:
        self.directory = directory
        self._game = {
            "id": game.id,
            "observation_space": describe_space(game.observation_space),
            "action_space": describe_space(game.action_space),
        }

    def add(self, model: BaseAlgorithm, episode: int) -> Snapshot:
        """
        Write a snapshot of a model. A directory of the same name, left by a killed process, is replaced.

        :param model: the model
        :param episode: number of the pool's episodes so far
        :return: the snapshot
        :raises CheckpointError: if it cannot be written; nothing is left behind
        """
        path = self.directory / name_snapshot(episode)
        files = {_WEIGHTS: serialize_weights(model.policy.state_dict())}
        normalize = model.get_vec_normalize_env()
        if normalize is not None:
            buffer = io.BytesIO()
            write_arrays(buffer, capture_normalization(normalize))
            files[_NORMALIZATION] = buffer.getvalue()
        description = {
            "step": model.num_timesteps,
            "episode": episode,
            "game": self._game,
            "model": dataclasses.asdict(describe_model(model)),
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        files[_DESCRIPTION] = (json.dumps(description, indent=2, allow_nan=False) + "\n").encode()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.remove(path.name)
            with write_directory(path) as folder:
                for name, content in files.items():
                    (folder / name).write_bytes(content)
        except OSError as error:
            raise CheckpointError(f"opponent {path} cannot be written: {error.strerror or error}") from error
        return Snapshot(path, model.num_timesteps, episode)

    def open(self, name: str) -> Snapshot:
        """
        :param name: name of a snapshot
        :return: the verified snapshot
        :raises CheckpointError: if it is missing or damaged
        :raises SelfPlayError: if it is for another game
        """
        path = self.directory / name
        try:
            description: dict[str, Any] = json.loads((path / _DESCRIPTION).read_bytes())
            game, sha256 = description["game"], description["sha256"]
            found = {file: describe_file(path / file).sha256 for file in sha256}
            snapshot = Snapshot(path, int(description["step"]), int(description["episode"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"opponent {path} is damaged ({type(error).__name__})") from error
        if found != sha256 or _WEIGHTS not in sha256:
            raise CheckpointError(f"opponent {path} is damaged: a sha256 does not match")
        if game != self._game:
            raise SelfPlayError(f"opponent {path} plays {_describe_game(game)}, not {_describe_game(self._game)}")
        return snapshot

    def list_names(self) -> list[str]:
        """:return: names of all snapshots, including damaged ones, the oldest first"""
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.name.startswith(SNAPSHOT_PREFIX))

    def remove(self, name: str) -> None:
        """
        :param name: name of a snapshot; may not exist
        """
        shutil.rmtree(self.directory / name, ignore_errors=True)

    def clean(self) -> None:
        """Remove incomplete snapshots of killed processes."""
        if self.directory.is_dir():
            remove_abandoned(self.directory)


def name_snapshot(episode: int) -> str:
    """
    :param episode: number of the pool's episodes
    :return: name of the snapshot taken after that episode
    """
    return f"{SNAPSHOT_PREFIX}{episode:09d}"


def _describe_game(game: dict[str, Any]) -> str:
    observations, actions = game.get("observation_space", {}), game.get("action_space", {})
    return f"{game.get('id')} (observations {observations.get('shape')}, {actions.get('n')} actions)"
