"""Games of two players against each other: what one gains, the other loses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError

_TOLERANCE = 1e-3  # of the rewards' size: sums of float32 are not exact


def find_not_zero_sum(rewards: NDArray[np.float32]) -> int | None:
    """
    :param rewards: of both players, shape (games, 2)
    :return: the first game whose rewards do not sum to zero; ``None`` if there is none
    """
    sums = rewards.sum(axis=1)
    if not sums.any():
        return None
    sizes = np.maximum(1.0, np.abs(rewards).max(axis=1))
    wrong = np.flatnonzero(~(np.abs(sums) <= _TOLERANCE * sizes))
    return int(wrong[0]) if wrong.size else None


def check_zero_sum(game_id: str, rewards: NDArray[np.float32]) -> None:
    """
    :param game_id: what was played
    :param rewards: of both players, over whole games, shape (games, 2)
    :raises SelfPlayError: if they do not sum to zero: such a game is cooperative, or each plays for itself
    """
    place = find_not_zero_sum(rewards)
    if place is not None:
        first, second = rewards[place].tolist()
        raise SelfPlayError(
            f"{game_id}: expected a game of two players against each other, whose rewards sum to zero (1 for the"
            f" winner, -1 for the loser), but the players of a game got {first:g} and {second:g}"
        )
