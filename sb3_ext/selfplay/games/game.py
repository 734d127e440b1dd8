"""
The interface of a two-player game: its rules, vectorised over many boards.

To add a game, write a class with these attributes and methods; it does not have to inherit from :class:`Game`. The
constructor receives ``num_boards``, the game's parameters, and ``seed`` if it accepts one. Test it with
:mod:`sb3_ext.selfplay.conformance`. Environments, ratings and searches use only this interface.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext.stateful import Stateful

Boards: TypeAlias = "NDArray[np.intp]"
"""Indices of boards, without duplicates."""


class MoveResults(NamedTuple):
    """
    The results of one move on each of several boards.

    :param rewards: of both players, shape (boards, 2), float32; +1 and -1 when a game is won, else 0. Over a whole
        game they must sum to zero
    :param ends: True where the game is over, shape (boards,), bool
    """

    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]


class Game(Stateful, Protocol):
    """
    A turn-based game for two players on ``num_boards`` boards.

    Player 0 moves first. :attr:`movers` gives the player to move, who may move twice in a row. A board whose game is
    over keeps its final position until it is reset.
    """

    id: str
    """Name of the game, as in ``game.id``."""
    num_boards: int
    observation_space: spaces.Box
    """Of one player's observation of one board, without the action mask."""
    action_space: spaces.Discrete

    @property
    def movers(self) -> NDArray[np.int8]:
        """The player to move on each board, 0 or 1, shape (num_boards,)."""

    def reset(self, boards: Boards) -> None:
        """
        Start new games.

        :param boards: the boards to reset
        """

    def find_legal(self, boards: Boards) -> NDArray[np.bool_]:
        """
        :param boards: boards whose games are not over
        :return: mask of the legal actions of the player to move, shape (boards, actions)
        """

    def play(self, boards: Boards, actions: NDArray[np.integer[Any]]) -> MoveResults:
        """
        Make one move on each board. The caller guarantees that the moves are legal.

        :param boards: boards whose games are not over
        :param actions: of the players to move, shape (boards,)
        :return: rewards and ends, in the order of ``boards``
        """

    def observe(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """
        :param boards: any boards
        :param players: the observing player of each board, 0 or 1, shape (boards,)
        :return: observations from these players' perspectives, newly allocated, shape (boards, ...)
        """

    def branch(self, boards: NDArray[np.intp]) -> Game:
        """
        Copy positions into a new game, for example to search.

        :param boards: the boards to copy; duplicates are allowed
        :return: an independent game with ``len(boards)`` boards
        """

    def render(self, board: int) -> str:
        """
        :param board: index of a board
        :return: the position as text
        """


@runtime_checkable
class SupportsWinningMoves(Protocol):
    """What a game may have to let ``heuristic`` find winning moves without trying all moves."""

    def find_winning_moves(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """
        :param boards: boards whose games are not over
        :param players: the player of each board, 0 or 1, who may not be the one to move, shape (boards,)
        :return: mask of the actions with which that player would win if it were to move, shape (boards, actions)
        """


@runtime_checkable
class SupportsSequences(Protocol):
    """What a game without chance may have to start faster in the middle of other games, when an agent is trained."""

    def play_sequences(self, boards: Boards, sequences: NDArray[np.integer[Any]]) -> None:
        """
        Make several moves on each board. The caller guarantees that they are legal, and that no game is over then.

        :param boards: boards whose games are not over
        :param sequences: moves, -1 after the last, shape (boards, any number)
        """
