"""Draw which player moves first."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sb3_ext.config.game_schema import StartPolicy

_FIXED_SEATS = {"agent_first": 0, "opponent_first": 1}


class SeatDraw:
    """
    Draws the agent's seat on each board; seat 0 moves first.

    :param policy: ``random``, ``agent_first``, ``opponent_first``, or ``alternate``: both seats in turn, starting with
        seat 0 on every second board
    :param num_boards: number of boards
    :raises ValueError: if the policy is unknown
    """

    def __init__(self, policy: StartPolicy, num_boards: int) -> None:
        if policy not in get_args(StartPolicy):
            raise ValueError(f"start_policy must be one of {', '.join(get_args(StartPolicy))}, but got {policy}")
        self._policy = policy
        self._num_boards = num_boards

    def first(self, generator: np.random.Generator) -> NDArray[np.int8]:
        """
        :param generator: random generator
        :return: the agent's seat in the first game of each board
        """
        return self.next(((np.arange(self._num_boards) + 1) % 2).astype(np.int8), generator)

    def next(self, seats: NDArray[np.int8], generator: np.random.Generator) -> NDArray[np.int8]:
        """
        :param seats: the agent's seats in the games that ended
        :param generator: random generator
        :return: its seats in the next games
        """
        if self._policy == "alternate":
            return (1 - seats).astype(np.int8)
        if self._policy == "random":
            return generator.integers(0, 2, len(seats), dtype=np.int8)
        return np.full(len(seats), _FIXED_SEATS[self._policy], dtype=np.int8)
