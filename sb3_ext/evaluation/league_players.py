"""Players of a run's league: its current and earlier agents, and anchors of fixed strength."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.store.checkpoint_store import BEST, LATEST, CheckpointStore
from sb3_ext.errors import CheckpointError, MissingExtraError
from sb3_ext.runs.paths import RunPaths
from sb3_ext.selfplay.frozen_opponent import find_opponent, load_opponent
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.matches.round_robin import Player
from sb3_ext.selfplay.opponents.anchors import ANCHORS, ZERO, fits_game, is_trained_against
from sb3_ext.selfplay.pool.frozen_policies import FrozenPolicies
from sb3_ext.selfplay.pool.snapshot_store import SnapshotStore

logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    step: int
    note: str
    load: Callable[[], Player]


def load_agents(
    paths: RunPaths, game: Game, which: str | int = 5, *, seed: int = 0, trust: bool = False
) -> list[Player]:
    """
    Load checkpoints and snapshots of a run as players, which take the most likely action.

    :param paths: paths of the run
    :param game: the game
    :param which: ``best``; ``latest``; ``all`` checkpoints and all snapshots of the opponent pool; or a number: the
        best, the latest, and those nearest to equal parts of the training: with three others, a quarter, half and three
        quarters of it
    :param seed: seed of the agents
    :param trust: also read pickles, which can run any code
    :return: the players, newest first
    :raises CheckpointError: if there is no checkpoint, or the best or latest is damaged; other damaged ones are left
        out
    """
    store = CheckpointStore(paths.checkpoints)
    latest = store.resolve(LATEST, playing_only=True)
    best = store.resolve(BEST, playing_only=True) if which == BEST else store.find_best(playing_only=True)
    marks = {latest.path: "latest"} if best is None else _mark(best, latest)

    entries = []
    for bundle in store.list_bundles():
        note = marks.get(bundle.path, "")
        load = partial(_load_checkpoint, bundle, game, note, seed=seed, trust=trust)
        entries.append(_Entry(bundle.step, note, load))
    if which not in (BEST, LATEST):
        entries += _list_snapshots(paths, game, latest, seed=seed, trust=trust)
    players = []
    for entry in sorted(_choose(entries, which), key=lambda entry: -entry.step):
        try:
            players.append(entry.load())
        except CheckpointError as error:
            if entry.note:
                raise
            logger.warning("left out: %s", error)
    return players


def make_anchors(
    game: Game, names: Sequence[str] | None = None, *, trained_against: Collection[str] = (), seed: int = 0
) -> list[Player]:
    """
    Make players of fixed strength.

    :param game: the game
    :param names: names for :func:`~sb3_ext.selfplay.frozen_opponent.find_opponent`; ``None`` for all of
        :data:`~sb3_ext.selfplay.opponents.anchors.ANCHORS` that support the game and are installed. ``random`` is
        always added as the first player
    :param trained_against: names of opponents in training; they are marked, since a win against them means little
    :param seed: seed from which each player gets a different one
    :return: the players
    :raises ConfigError: if there is no such player
    :raises CheckpointError: if a path is not a checkpoint
    """
    chosen = list(dict.fromkeys([ZERO, *(ANCHORS if names is None else names)]))
    players = []
    for number, name in enumerate(chosen):
        if names is None and not fits_game(name, game):
            continue
        try:
            opponent = find_opponent(name, game, seed=seed + number)
        except MissingExtraError as error:
            if names is not None:
                raise
            logger.info("left out: %s: %s", name, error)
            continue
        note = "trained against" if is_trained_against(name, trained_against) else ""
        players.append(Player(opponent, None, note))
    return players


def _mark(best: Bundle, latest: Bundle) -> dict[Path, str]:
    if best.path == latest.path:
        return {best.path: "best, latest"}
    return {best.path: "best", latest.path: "latest"}


def _list_snapshots(paths: RunPaths, game: Game, latest: Bundle, *, seed: int, trust: bool) -> Iterator[_Entry]:
    """Yield the snapshots of the opponent pool, which have only weights and the architecture of the checkpoints."""
    store = SnapshotStore(paths.opponents, game)
    names = store.list_names()
    if not names:
        return
    learner = load_model(latest.path, device="cpu", trust=trust)
    policies = FrozenPolicies(store, len(names), np.random.default_rng(seed), deterministic=True)
    for name in names:
        try:
            step = store.open(name).step
        except CheckpointError as error:
            logger.warning("left out: %s", error)
            continue
        yield _Entry(step, "", partial(_load_snapshot, policies, name, learner, step))


def _load_checkpoint(bundle: Bundle, game: Game, note: str, *, seed: int, trust: bool) -> Player:
    return Player(load_opponent(bundle.path, game, deterministic=True, seed=seed, trust=trust), bundle.step, note)


def _load_snapshot(policies: FrozenPolicies, name: str, learner: BaseAlgorithm, step: int) -> Player:
    return Player(policies.find(name, learner), step)


def _choose(entries: Sequence[_Entry], which: str | int) -> list[_Entry]:
    if which == "all":
        return list(entries)
    if isinstance(which, str):
        return [entry for entry in entries if which in entry.note]
    chosen = [entry for entry in entries if entry.note]
    others = [entry for entry in entries if not entry.note]
    number = min(len(others), max(0, which - len(chosen)))
    # With both ends left out: an agent of a few steps earlier is the latest one in all but name.
    for step in np.linspace(0, max(entry.step for entry in entries), number + 2)[1:-1]:
        nearest = min(others, key=lambda entry: abs(entry.step - step))
        others.remove(nearest)
        chosen.append(nearest)
    return chosen
