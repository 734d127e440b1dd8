"""
What a game has to offer: its rules, for many boards at once.

A game of one's own is a class with these attributes and methods; it need not inherit. It is called with
``num_boards``, with its parameters, and with ``seed`` if it has one; :mod:`sb3_ext.selfplay.conformance` has its tests.
Everything that seats an opponent, rates or searches is written against this interface, and knows no game.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Boards: TypeAlias = "NDArray[np.intp]"
"""Indices of boards, each at most once."""


class MoveResults(NamedTuple):
    """
    What came of one move on each of some boards.

    :param rewards: of both players, shape (boards, 2), float32; in a game of win and loss +1 and -1, else 0. Over a
        whole game they sum to zero; what does not is refused
    :param ends: whether the game is over, shape (boards,), bool
    """

    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]


class Game(Protocol):
    """
    A game of two players who move in turn, on ``num_boards`` boards.

    Player 0 moves first. Where a rule gives a player two moves in a row, :attr:`movers` says so. A board whose game is
    over stays as it is, and can be observed, until it is reset.
    """

    id: str
    """What the configuration calls it."""
    num_boards: int
    observation_space: spaces.Box
    """Of one board, seen by one player; without the legal moves."""
    action_space: spaces.Discrete

    @property
    def movers(self) -> NDArray[np.int8]:
        """The player to move on each board, 0 or 1, shape (num_boards,)."""

    def reset(self, boards: Boards) -> None:
        """
        Begin new games.

        :param boards: on which of the boards
        """

    def find_legal(self, boards: Boards) -> NDArray[np.bool_]:
        """
        :param boards: whose games are not over
        :return: what the player to move may do, shape (boards, actions)
        """

    def play(self, boards: Boards, actions: NDArray[np.integer[Any]]) -> MoveResults:
        """
        Make one legal move on each board; whether it is legal is the caller's business.

        :param boards: whose games are not over
        :param actions: of the players to move, shape (boards,)
        :return: in the order of the boards
        """

    def observe(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """
        :param boards: over or not
        :param players: who looks, 0 or 1, shape (boards,): each sees the own stones as its own
        :return: new arrays of the observation space, shape (boards, ...)
        """

    def branch(self, boards: NDArray[np.intp]) -> Game:
        """
        Copy positions, to try moves there; what searches do.

        :param boards: which; here one may stand several times
        :return: an independent game of that many boards
        """

    def get_snapshot(self) -> Any:
        """:return: the whole state, picklable, random state included: a copy"""

    def set_snapshot(self, snapshot: Any) -> None:
        """
        :param snapshot: from :meth:`get_snapshot` of a game with the same parameters
        """

    def render(self, board: int) -> str:
        """
        :param board: which one
        :return: the position as lines of text
        """
