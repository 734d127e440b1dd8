"""Use a plain function as an opponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game


class FunctionOpponent:
    """
    An opponent whose moves a function chooses. Random state inside the function is not checkpointed.

    :param function: ``(observations, legal) -> actions``: observations of the players to move, shape (boards, ...);
        mask of legal actions, shape (boards, actions); one legal action for each board, shape (boards,)
    :param name: shown in tables and pictures; default: the function's name
    """

    def __init__(
        self, function: Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]], name: str | None = None
    ) -> None:
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self._function = function

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        return np.asarray(self._function(game.observe(boards, game.movers[boards]), game.find_legal(boards)))

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`. The state of a function is unknown."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
