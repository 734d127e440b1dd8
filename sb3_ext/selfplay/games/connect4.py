"""Connect4, vectorised over many boards."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_ext_envs.connect4.drawing import draw_text
from sb3_ext_envs.connect4.rules import Connect4Rules

from sb3_ext.algorithms.board_buffers import Reflection
from sb3_ext.selfplay.games.game import Boards, MoveResults


class Connect4:
    """
    Connect4 on boards of any size; see :class:`~sb3_ext.selfplay.games.game.Game` for the methods.

    An observation has two planes of 0 and 1, shape (2, rows, cols), int8: the observing player's stones, then the other
    player's; row 0 is the top. An action is a column. Rewards: +1 for the winner, -1 for the loser, 0 for a draw.

    :param num_boards: number of games played in parallel
    :param rows: at least 1, at most 60
    :param cols: at least 1
    :param in_a_row: stones in a line that win: at least 2, at most the longer side of the board
    :raises ValueError: if a number is out of its range
    """

    id = "connect4"

    def __init__(self, num_boards: int, rows: int = 6, cols: int = 7, in_a_row: int = 4) -> None:
        self._take_rules(Connect4Rules(num_boards, rows, cols, in_a_row))

    @property
    def longest_plies(self) -> int:
        """Number of moves of the longest game."""
        return self.rules.layout.rows * self.rules.layout.cols

    @property
    def movers(self) -> NDArray[np.int8]:
        return self.rules.get_movers()

    def reset(self, boards: Boards) -> None:
        self.rules.reset(boards)

    def find_legal(self, boards: Boards) -> NDArray[np.bool_]:
        return self.rules.find_legal(boards)

    def play(self, boards: Boards, actions: NDArray[np.integer[Any]]) -> MoveResults:
        players = self.rules.plies[boards] & 1
        is_won, ends = self.rules.play(boards, actions)
        rewards = np.zeros((len(boards), 2), np.float32)
        won = np.flatnonzero(is_won)
        rewards[won, players[won]] = 1.0
        rewards[won, 1 - players[won]] = -1.0
        return MoveResults(rewards, ends)

    def play_sequences(self, boards: Boards, sequences: NDArray[np.integer[Any]]) -> None:
        self.rules.play_sequences(boards, sequences)

    def find_winning_moves(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        return self.rules.find_winning_moves(boards, players)

    def observe(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[np.int8]:
        return self.rules.draw_planes(boards, players)

    def find_reflection(self) -> Reflection:
        """:return: the left-right reflection of observations and actions"""
        shape = self.observation_space.shape
        cells = np.arange(np.prod(shape)).reshape(shape)[..., ::-1]
        return Reflection(cells.ravel().tolist(), list(range(shape[-1]))[::-1])

    def branch(self, boards: NDArray[np.intp]) -> Connect4:
        copy = object.__new__(Connect4)
        copy._take_rules(self.rules.copy_boards(boards), self)
        return copy

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        rules = self.rules
        return {"stones": rules.stones.copy(), "heights": rules.heights.copy(), "plies": rules.plies.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        rules = self.rules
        rules.stones[:], rules.heights[:], rules.plies[:] = (
            state["stones"],
            state["heights"],
            state["plies"],
        )

    def render(self, board: int) -> str:
        return draw_text(self.rules.draw_planes(np.array([board]), np.array([0]))[0])

    def _take_rules(self, rules: Connect4Rules, original: Connect4 | None = None) -> None:
        layout = rules.layout
        self.rules = rules
        self.num_boards = rules.num_boards
        self.observation_space: spaces.Box = (
            original.observation_space if original else spaces.Box(0, 1, (2, layout.rows, layout.cols), np.int8)
        )
        self.action_space: spaces.Discrete = original.action_space if original else spaces.Discrete(layout.cols)
