"""Recognise a game by its rules, whatever its parameters are called."""

from __future__ import annotations

import hashlib

import numpy as np

from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.version import __version__

_GAMES = 32
_MOST_PLIES = 200


def compute_fingerprint(game: Game) -> str:
    """
    Hash the observations, legal moves and results of random games.

    :param game: any game; not modified
    :return: differs for games with other rules, other sizes, or another version of this package
    """
    boards = np.arange(_GAMES)
    copies = game.branch(np.zeros(_GAMES, np.intp))
    copies.reset(boards)
    generator = np.random.default_rng(0)
    digest = hashlib.sha256(f"{game.id} {__version__}".encode())
    for _ in range(_MOST_PLIES):
        legal = copies.find_legal(boards)
        results = copies.play(boards, draw_legal(legal, generator))
        for found in (legal, *results, copies.observe(boards, np.zeros(len(boards), np.int8))):
            digest.update(np.ascontiguousarray(found).tobytes())
        boards = boards[~results.ends]
        if not boards.size:
            break
    return digest.hexdigest()
