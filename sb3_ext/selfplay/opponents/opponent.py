"""The interface of opponents."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.stateful import Stateful


@runtime_checkable
class Opponent(Stateful, Protocol):
    """
    Chooses moves for a batch of boards. It receives the game and encodes positions itself, so that searches and
    networks with different observations can play each other.
    """

    name: str
    """Shown in tables and pictures."""

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        """
        :param game: the game; must not be modified (:meth:`~sb3_ext.selfplay.games.game.Game.branch` makes a copy)
        :param boards: boards whose games are not over
        :return: a legal action of the player to move on each board, shape (boards,)
        """
