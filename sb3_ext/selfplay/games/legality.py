"""Detect, replace and report illegal moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game


def find_illegal(actions: NDArray[np.integer[Any]], legal: NDArray[np.bool_]) -> NDArray[np.intp]:
    """
    :param actions: any integers, shape (boards,)
    :param legal: mask of the legal actions, shape (boards, actions)
    :return: indices of the boards where the action is illegal
    """
    in_range = (actions >= 0) & (actions < legal.shape[1])
    allowed = legal[np.arange(len(actions)), np.where(in_range, actions, 0)] & in_range
    return np.flatnonzero(~allowed)


def draw_legal(legal: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.intp]:
    """
    Draw a uniform legal action for each board.

    :param legal: mask of the legal actions, shape (boards, actions)
    :param generator: random generator
    :return: actions, shape (boards,)
    :raises SelfPlayError: if a board has no legal action
    """
    counts = legal.sum(axis=1)
    if not counts.all():
        raise SelfPlayError("a player has no legal move although the game is not over; passing needs an action")
    picks = generator.integers(counts)
    places: NDArray[np.intp] = (legal.cumsum(axis=1) > picks[:, None]).argmax(axis=1)
    return places


def check_moves(who: str, game: Game, boards: Boards, actions: NDArray[Any], legal: NDArray[np.bool_]) -> None:
    """
    Check that an opponent chose one legal action for each board.

    :param who: name of the player, for the error message
    :param game: the game before the moves
    :param boards: the boards on which the player moves
    :param actions: the chosen actions
    :param legal: mask of the legal actions, shape (boards, actions)
    :raises SelfPlayError: if an action is illegal; names the first such board
    """
    if actions.shape != boards.shape or not np.issubdtype(actions.dtype, np.integer):
        raise SelfPlayError(
            f"{who} chose {actions.dtype} actions of shape {actions.shape}, expected integers of shape {boards.shape}"
        )
    illegal = find_illegal(actions, legal)
    if illegal.size:
        first = illegal[0]
        allowed = ", ".join(map(str, np.flatnonzero(legal[first])))
        raise SelfPlayError(
            f"{who} chose action {actions[first]} on board {boards[first]} of {game.id},"
            f" where only {allowed} is legal:\n{game.render(int(boards[first]))}"
        )
