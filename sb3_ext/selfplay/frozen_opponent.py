"""Make opponents from models, runs, checkpoints and SB3 zip files, and find opponents by any name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.algorithms.space_rules import HasSpaces
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.model_source import ModelSource, find_model, find_target
from sb3_ext.errors import CheckpointError, ConfigError, RunError, SelfPlayError
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.opponents.anchors import is_anchor, make_anchor
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent, copy_policy
from sb3_ext.selfplay.seats.board_env import BoardVecEnv
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv


def freeze_model(
    model: BaseAlgorithm, name: str = "frozen", *, deterministic: bool = False, seed: int | None = None
) -> PolicyOpponent:
    """
    :param model: the model; its policy is copied, so later training does not change the opponent
    :param name: shown in tables and pictures
    :param deterministic: always play the best move
    :param seed: seed of its random moves
    :return: an opponent on the CPU, with the model's ``VecNormalize`` statistics
    :raises SelfPlayError: if the model's policy cannot be an opponent
    """
    normalize = model.get_vec_normalize_env()
    return PolicyOpponent(
        copy_policy(model.policy),
        name,
        np.random.default_rng(seed),
        deterministic=deterministic,
        normalize=make_normalize(None if normalize is None else capture_normalization(normalize)),
    )


def load_opponent(
    source: str | Path | ModelSource,
    game: Game,
    *,
    algorithm: str | None = None,
    trust: bool = False,
    name: str | None = None,
    deterministic: bool = False,
    seed: int | np.random.SeedSequence | None = None,
) -> PolicyOpponent:
    """
    Load a trained model as an opponent. No code of the file is run, unless it is trusted.

    :param source: as for :func:`sb3_ext.load`: a run (its best checkpoint, else its latest), a checkpoint, or any zip
        that SB3 has saved
    :param game: the game to play
    :param algorithm: algorithm of a plain SB3 zip, such as ``ppo``
    :param trust: load pickles as stock SB3 does, which **runs any code in the file**
    :param name: shown in tables and pictures; default: name of the file
    :param deterministic: always play the best move
    :param seed: seed of its random moves
    :return: the opponent
    :raises CheckpointError: if it cannot be loaded
    :raises SelfPlayError: if it was trained for another game
    """
    found = find_model(source)
    model = _load(found, game, algorithm, trust)
    statistics = None if found.bundle is None else found.bundle.read_normalization()
    check_spaces_of_game(model.policy, game, str(found.path), normalized=statistics is not None)
    return PolicyOpponent(
        copy_policy(model.policy),
        name or found.name,
        np.random.default_rng(seed),
        deterministic=deterministic,
        normalize=make_normalize(statistics),
    )


def find_opponent(
    name: str,
    game: Game,
    *,
    algorithm: str | None = None,
    deterministic: bool = True,
    seed: int | np.random.SeedSequence | None = None,
    trust: bool = False,
) -> Opponent:
    """
    Make an anchor, or load an agent, by name.

    :param name: name of an anchor (see :func:`~sb3_ext.selfplay.opponents.anchors.make_anchor`), or a run, a checkpoint
        or a zip (see :func:`sb3_ext.load`)
    :param game: the game
    :param algorithm: algorithm of a zip that is not a checkpoint
    :param deterministic: whether an agent takes the most likely action
    :param seed: seed of the player
    :param trust: also read pickles, which can run any code
    :return: the player; an agent has ``name`` as its name
    :raises ConfigError: if there is no such player
    :raises CheckpointError: if the checkpoint cannot be loaded
    :raises MissingExtraError: if it needs OpenSpiel, which is not installed
    """
    if is_anchor(name):
        return make_anchor(name, seed=seed)
    try:
        find_target(name)
    except RunError as error:
        if "/" in name:
            raise ConfigError(f"opponent '{name}': there is no such run or checkpoint") from error
        return make_anchor(name, seed=seed)
    return load_opponent(
        name, game, algorithm=algorithm, trust=trust, name=name, deterministic=deterministic, seed=seed
    )


def check_spaces_of_game(policy: HasSpaces, game: Game, what: str, *, normalized: bool) -> None:
    """
    :param policy: a policy or a description of one
    :param game: the game to play
    :param what: name of the policy, for the error message
    :param normalized: whether it was trained on normalised observations, whose bounds differ
    :raises SelfPlayError: if it was trained for another game
    """
    seen, shown = policy.observation_space, game.observation_space
    if isinstance(seen, spaces.Dict) and "observation" in seen.spaces:
        seen = seen["observation"]
    is_same = seen.shape == shown.shape if normalized else seen == shown
    if not is_same:
        raise SelfPlayError(f"{what} was trained on observations {seen}, but {game.id} has {shown}")
    if policy.action_space != game.action_space:
        raise SelfPlayError(
            f"{what} was trained on actions {policy.action_space}, but {game.id} has {game.action_space}"
        )


def _load(source: ModelSource, game: Game, algorithm: str | None, trust: bool) -> BaseAlgorithm:
    if source.bundle is not None:  # a checkpoint names its algorithm
        return load_model(source, device="cpu", trust=trust)
    if trust:
        return load_model(source, device="cpu", trust=True, algorithm=algorithm)
    # The spaces in an untrusted zip are pickled and not read; try the two possible ones.
    try:
        return load_model(source, env=_show(game, has_masks=False), device="cpu", algorithm=algorithm)
    except CheckpointError as error:
        with suppress(CheckpointError):
            return load_model(source, env=_show(game, has_masks=True), device="cpu", algorithm=algorithm)
        raise error


def _show(game: Game, *, has_masks: bool) -> BoardVecEnv:
    board = game.branch(np.zeros(1, dtype=np.intp))
    return SelfPlayVecEnv(board, lambda _observations, legal: legal.argmax(axis=1), masks_in_observation=has_masks)
