"""Who sits opposite: anything that picks moves for a batch of boards."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game


@runtime_checkable
class Opponent(Protocol):
    """
    Picks moves. It gets the game itself, which it must not change, and encodes the position as it likes.

    That is how a search, a network with a flat board and one with a ``Dict`` meet in one league.
    """

    name: str
    """In tables and pictures."""

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        """
        :param game: not to be changed; :meth:`~sb3_ext.selfplay.games.game.Game.branch` gives a copy
        :param boards: on which a move is wanted: the games are not over
        :return: one legal action a board, of the player to move there, shape (boards,)
        """

    def get_state(self) -> Any:
        """:return: what an exact resume needs, picklable: the state of the generator, ``None`` if there is none"""

    def set_state(self, state: Any) -> None:
        """
        :param state: from :meth:`get_state`
        """
