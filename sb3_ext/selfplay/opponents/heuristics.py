"""Opponents without training. They work with every game."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game, SupportsWinningMoves
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.solvers.move_search import find_winners, rate_moves, try_moves


class RandomOpponent:
    """
    Plays uniformly random legal moves.

    :param seed: seed of its random generator
    :param name: shown in tables and pictures
    """

    def __init__(self, seed: int | np.random.SeedSequence | None = None, name: str = "random") -> None:
        self.name = name
        self._generator = np.random.default_rng(seed)

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        return draw_legal(self._find_candidates(game, boards), self._generator)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._generator.bit_generator.state = state

    def _find_candidates(self, game: Game, boards: Boards) -> NDArray[np.bool_]:
        """:return: mask of the moves to draw from, shape (boards, actions)"""
        return game.find_legal(boards)


class HeuristicOpponent(RandomOpponent):
    """
    Plays a winning move if there is one, else blocks, else plays a random legal move.

    It blocks the moves with which the other player could win next. It does not check whether its own move allows a new
    win of the other player.

    :param seed: seed of its random generator
    :param name: shown in tables and pictures
    """

    def __init__(self, seed: int | np.random.SeedSequence | None = None, name: str = "heuristic") -> None:
        super().__init__(seed, name)

    def _find_candidates(self, game: Game, boards: Boards) -> NDArray[np.bool_]:
        legal = game.find_legal(boards)
        if isinstance(game, SupportsWinningMoves):
            movers = game.movers[boards]
            wins, threats = (game.find_winning_moves(boards, players) for players in (movers, 1 - movers))
        else:
            wins, threats = search_wins_and_threats(game, boards)
        for candidates in (threats & legal, wins):
            legal = np.where(candidates.any(axis=1, keepdims=True), candidates, legal)
        return legal


class AlphaBetaOpponent(RandomOpponent):
    """
    Searches a number of moves ahead and draws uniformly from the best moves.

    The result is that of alpha-beta search: the fastest win, else no loss, else the latest loss. It sees hidden
    information.

    :param depth: number of moves (of both players) to search, at least 1
    :param seed: seed of its random generator
    :param name: shown shown in tables and pictures; default: ``alpha_beta_<depth>``
    :raises ValueError: if ``depth`` is not positive
    """

    def __init__(
        self, depth: int = 4, seed: int | np.random.SeedSequence | None = None, name: str | None = None
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be positive, but got {depth}")
        super().__init__(seed, name or f"alpha_beta_{depth}")
        self.depth = depth

    def _find_candidates(self, game: Game, boards: Boards) -> NDArray[np.bool_]:
        ratings = rate_moves(game, boards, self.depth)
        return np.asarray(ratings == ratings.max(axis=1, keepdims=True))


class SmartHeuristicOpponent(AlphaBetaOpponent):
    """
    Alpha-beta search with depth 4.

    :param depth: number of moves (of both players) to search, at least 1
    :param seed: seed of its random generator
    :param name: shown in tables and pictures
    """

    def __init__(
        self, depth: int = 4, seed: int | np.random.SeedSequence | None = None, name: str = "smart_heuristic"
    ) -> None:
        super().__init__(depth, seed, name)


def search_wins_and_threats(game: Game, boards: Boards) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """
    Try all moves of the player to move, and all replies where it has no winning move.

    :param game: any game; not modified
    :param boards: boards whose games are not over
    :return: mask of the moves that win, and of the replies that win after another move, each of shape (boards, actions)
    """
    wins = np.zeros((len(boards), int(game.action_space.n)), np.bool_)
    threats = wins.copy()
    rows, actions, players, children, results = try_moves(game, boards)
    wins[rows, actions] = results.ends & (find_winners(results.rewards, players) > 0)
    is_open = ~results.ends & (children.movers != players) & ~np.asarray(wins.any(axis=1))[rows]
    open_children = np.flatnonzero(is_open)
    if len(open_children):
        child_rows, replies = np.nonzero(rate_moves(children, open_children, depth=1) > 0)
        parents = open_children[child_rows]
        is_wasted = actions[parents] != replies
        threats[rows[parents][is_wasted], replies[is_wasted]] = True
    return wins, threats
