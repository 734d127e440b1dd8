"""Anchors: opponents of fixed strength that agents are measured against."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from sb3_ext.errors import ConfigError
from sb3_ext.problems import suggest_name
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.opponents.heuristics import AlphaBetaOpponent
from sb3_ext.selfplay.opponents.mcts import MctsOpponent, find_openspiel_name
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.opponents.opponent_registry import HEURISTICS, OPPONENTS, make_opponent

ANCHORS = ("random", "heuristic", "alpha_beta_2", "alpha_beta_4", "mcts_100")
"""Anchors of every league, from the weakest to the strongest."""
ZERO = "random"
"""The anchor whose rating is 0."""
_NUMBERED = re.compile(r"(alpha_beta|mcts)_(\d+)")


def make_anchor(name: str, *, seed: int | np.random.SeedSequence | None = None) -> Opponent:
    """
    :param name: a registered opponent, ``alpha_beta_<depth>``, or ``mcts_<rollouts per move>``
    :param seed: seed of its random generator
    :return: the opponent, with that name
    :raises ConfigError: if the name is unknown
    :raises MissingExtraError: if it needs OpenSpiel and OpenSpiel is not installed
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        if not is_anchor(name):
            known = [*OPPONENTS.list_names(), "alpha_beta_N", "mcts_N"]
            raise ConfigError(f"unknown opponent '{name}'; {suggest_name(name, known)} (or a run, or 'module:Name')")
        return make_opponent(name, seed=seed)
    kind, number = numbered[1], int(numbered[2])
    if number < 1:
        raise ConfigError(f"opponent '{name}': expected a positive number, found {number}")
    return MctsOpponent(number, seed) if kind == "mcts" else make_opponent(kind, {"depth": number}, seed=seed)


def is_anchor(name: str) -> bool:
    """:return: whether :func:`make_anchor` accepts the name; other names may be paths"""
    if "/" in name:
        return False
    return ":" in name or _NUMBERED.fullmatch(name) is not None or name in OPPONENTS


def fits_game(name: str, game: Game) -> bool:
    """
    :param name: name of an anchor
    :param game: the game to play
    :return: ``False`` for an MCTS anchor if OpenSpiel does not have the game
    """
    return not name.startswith("mcts_") or find_openspiel_name(game) is not None


def is_trained_against(name: str, trained_against: Collection[str]) -> bool:
    """
    :param name: name of an anchor
    :param trained_against: names of opponents in training
    :return: whether one of them plays identically, possibly under another name
    """
    return any(_plays_alike(name, other) for other in trained_against)


def _plays_alike(name: str, other: str) -> bool:
    depth = _find_depth(name)
    return name == other or (depth is not None and depth == _find_depth(other))


def _find_depth(name: str) -> int | None:
    """:return: how many moves an alpha-beta search looks ahead; ``None`` for any other opponent"""
    if name not in HEURISTICS and not name.startswith("alpha_beta_"):
        return None
    player = make_anchor(name)
    return player.depth if isinstance(player, AlphaBetaOpponent) else None
