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
    :param legal: what is allowed, shape (boards, actions)
    :return: where an action is not allowed
    """
    in_range = (actions >= 0) & (actions < legal.shape[1])
    allowed = legal[np.arange(len(actions)), np.where(in_range, actions, 0)] & in_range
    return np.flatnonzero(~allowed)


def draw_legal(legal: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.intp]:
    """
    :param legal: what is allowed, shape (boards, actions)
    :param generator: of the draws
    :return: a uniform one of each row, shape (boards,)
    :raises SelfPlayError: if nothing is allowed in a row
    """
    counts = legal.sum(axis=1)
    if not counts.all():
        raise SelfPlayError("a player has no legal move, but the game is not over: a pass has to be an action")
    picks = generator.integers(counts)
    places: NDArray[np.intp] = (legal.cumsum(axis=1) > picks[:, None]).argmax(axis=1)
    return places


def check_moves(who: str, game: Game, boards: Boards, actions: NDArray[Any], legal: NDArray[np.bool_]) -> None:
    """
    :param who: made the moves, in the words of a message
    :param game: before the moves
    :param boards: on which
    :param actions: what was chosen there
    :param legal: what is allowed there
    :raises SelfPlayError: if they are not one legal action a board: with the first board that is wrong
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
