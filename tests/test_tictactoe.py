"""The shipped example of tic-tac-toe learns to play perfectly."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sb3_ext
from sb3_ext.selfplay import load_opponent, make_game
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.matches.match_play import play_match

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
Stones = frozenset[int]


@cache
def find_value(own: Stones, other: Stones) -> int:
    """:return: of the game for the player to move: 1, 0 or -1"""
    if any(other.issuperset(line) for line in LINES):
        return -1
    return max((rate_move(own, other, cell) for cell in range(9) if cell not in own | other), default=0)


def rate_move(own: Stones, other: Stones, cell: int) -> int:
    return -find_value(other, own | {cell})


class PerfectPlayer:
    """Makes any of the best moves."""

    name = "perfect"

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        legal = game.find_legal(boards)
        best = np.zeros_like(legal)
        observations = game.observe(boards, game.movers[boards]).reshape(len(boards), 9, 2)
        for row, cells in enumerate(observations):
            own, other = (frozenset(np.flatnonzero(cells[:, plane]).tolist()) for plane in (0, 1))
            ratings = {cell: rate_move(own, other, cell) for cell in np.flatnonzero(legal[row]).tolist()}
            best[row, [cell for cell, rating in ratings.items() if rating == max(ratings.values())]] = True
        return draw_legal(best, self._generator)

    def state_dict(self) -> Any:
        return None

    def load_state_dict(self, state: Any) -> None:
        pass


def test_the_perfect_player_never_loses() -> None:
    game = make_game("pettingzoo.classic.tictactoe_v3", 40)
    generator = np.random.default_rng(0)
    tally = play_match(game, PerfectPlayer(), PerfectPlayer(), generator=generator, opening_plies=(0, 0)).total
    assert tally.draws == tally.games


@pytest.mark.slow
def test_the_example_never_loses_to_the_perfect_player(tmp_path: Path) -> None:
    run = sb3_ext.train("tictactoe_ppo", run_dir=tmp_path / "run")
    assert run.latest is not None
    assert count_losses(run.latest.path) == 0


def count_losses(checkpoint: Path, openings: int = 1000) -> int:
    """:return: in as many games in either seat"""
    game = make_game("pettingzoo.classic.tictactoe_v3", openings)
    agent = load_opponent(checkpoint, game, deterministic=True)
    generator = np.random.default_rng(0)
    return play_match(game, agent, PerfectPlayer(), generator=generator, opening_plies=(0, 0)).total.losses
