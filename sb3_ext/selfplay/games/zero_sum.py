"""Check that games are zero-sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError

_TOLERANCE = 1e-3  # of the rewards' size: sums of float32 are not exact


def find_not_zero_sum(rewards: NDArray[np.float32]) -> int | None:
    """
    :param rewards: of both players, shape (games, 2)
    :return: index of the first game whose rewards do not sum to zero; ``None`` if all do
    """
    sums = rewards.sum(axis=1)
    if not sums.any():
        return None
    sizes = np.maximum(1.0, np.abs(rewards).max(axis=1))
    wrong = np.flatnonzero(~(np.abs(sums) <= _TOLERANCE * sizes))
    return int(wrong[0]) if wrong.size else None


def check_zero_sum(game_id: str, rewards: NDArray[np.float32]) -> None:
    """
    :param game_id: name of the game
    :param rewards: summed rewards of both players over whole games, shape (games, 2)
    :raises SelfPlayError: if the rewards of a game do not sum to zero
    """
    place = find_not_zero_sum(rewards)
    if place is not None:
        first, second = rewards[place].tolist()
        raise SelfPlayError(
            f"{game_id}: expected a zero-sum game, whose rewards sum to zero (1 for the winner, -1 for the"
            f" loser), but the players of a game got {first:g} and {second:g}"
        )
