"""A plain function as an opponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game


class FunctionOpponent:
    """
    Plays what a function says. Random numbers of the function's own are no part of a checkpoint.

    :param function: takes observations of the players to move, shape (boards, ...), and what they may do, shape
        (boards, actions); returns a legal action for each
    :param name: the function's when left out
    """

    def __init__(
        self, function: Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]], name: str | None = None
    ) -> None:
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self._function = function

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        return np.asarray(self._function(game.observe(boards, game.movers[boards]), game.find_legal(boards)))

    def get_state(self) -> None:
        """:return: ``None``: a function has no state that could be known"""

    def set_state(self, state: Any) -> None:
        """There is none."""
