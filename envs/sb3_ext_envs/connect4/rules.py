"""The rules of Connect4 for many boards at once, without a loop over boards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext_envs.connect4.bitboards import Bitboards, BitLayout

Boards = NDArray[np.intp]


class Connect4Rules:
    """
    Two players in turn drop a stone into a column; the first line of ``in_a_row`` wins, a full board is a draw.

    A line by the last stone on a full board wins. 64 boards of 6 by 7 make about a million random moves a second,
    including the choice of moves.

    :param num_boards: games that are played at the same time
    :param rows: at least 1, at most 60
    :param cols: at least 1
    :param in_a_row: at least 2, at most the longer side of the board
    :raises ValueError: if a number is out of range
    """

    def __init__(self, num_boards: int, rows: int = 6, cols: int = 7, in_a_row: int = 4) -> None:
        self.layout = BitLayout(rows, cols, in_a_row)
        self.num_boards = num_boards
        self.stones: Bitboards = np.zeros((num_boards, 2, self.layout.num_words), np.uint64)
        """Of both players, shape (boards, 2, words)."""
        self.heights = np.zeros((num_boards, cols), np.int8)
        """Stones in each column, shape (boards, cols)."""
        self.plies = np.zeros(num_boards, np.int32)
        """Stones on each board."""

    def reset(self, boards: Boards) -> None:
        """
        Clear boards.

        :param boards: which
        """
        self.stones[boards] = 0
        self.heights[boards] = 0
        self.plies[boards] = 0

    def get_movers(self) -> NDArray[np.int8]:
        """:return: the player to move, 0 or 1, shape (num_boards,)"""
        return (self.plies & 1).astype(np.int8)

    def find_legal(self, boards: Boards) -> NDArray[np.bool_]:
        """
        :param boards: whose games are not over
        :return: which columns have room, shape (boards, cols)
        """
        return np.asarray(self.heights[boards] < self.layout.rows)

    def play(self, boards: Boards, cols: NDArray[np.integer[Any]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """
        Drop one stone on each board, of the player to move. The column must have room, which is not checked.

        :param boards: each at most once
        :param cols: where, shape (boards,)
        :return: whether that wins, and whether the game is over, each of shape (boards,)
        """
        layout, plies, heights = self.layout, self.plies[boards], self.heights[boards, cols]
        players = plies & 1
        stones = self.stones[boards, players] | layout.cell_bits[cols, heights]
        self.stones[boards, players] = stones
        self.heights[boards, cols] = heights + 1
        self.plies[boards] = plies + 1
        is_won = layout.has_line(stones)
        return is_won, is_won | (plies == layout.rows * layout.cols - 1)

    def play_sequences(self, boards: Boards, sequences: NDArray[np.integer[Any]]) -> None:
        """
        Drop several stones on each board, of both players in turn, in one go. There must be room for each stone, and
        only the last one may end the game, which is not checked.

        :param boards: each at most once
        :param sequences: columns, -1 after the last, shape (boards, any number)
        """
        layout = self.layout
        is_move = sequences >= 0
        cols = np.where(is_move, sequences, 0)
        added = sequences[..., None] == np.arange(layout.cols)
        below = np.take_along_axis(added.cumsum(axis=1) - added, cols[..., None], axis=2)[..., 0]
        heights = self.heights[boards[:, None], cols] + below
        stones = layout.cell_bits[cols, np.where(is_move, heights, 0)] * is_move[..., None].astype(np.uint64)
        movers = (self.plies[boards][:, None] + np.arange(sequences.shape[1])) & 1
        for player in (0, 1):
            own = np.where((movers == player)[..., None], stones, np.uint64(0))
            self.stones[boards, player] |= np.bitwise_or.reduce(own, axis=1)
        self.heights[boards] += added.sum(axis=1, dtype=np.int8)
        self.plies[boards] += is_move.sum(axis=1, dtype=np.int32)

    def find_winning_moves(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """
        :param boards: boards whose games are not over
        :param players: player 0 or 1 on each board, shape (boards,)
        :return: columns in which a stone of that player would win, regardless of whose turn it is, shape (boards, cols)
        """
        layout, heights = self.layout, self.heights[boards]
        has_room = heights < layout.rows
        added = layout.cell_bits[np.arange(layout.cols), np.where(has_room, heights, 0)]
        stones = self.stones[boards, players][:, None] | added
        return has_room & layout.has_line(stones.reshape(-1, layout.num_words)).reshape(has_room.shape)

    def draw_planes(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[np.int8]:
        """
        :param boards: which
        :param players: the player whose stones come first, 0 or 1, shape (boards,)
        :return: 1 where a stone is, else 0: own stones, then the opponent's; row 0 is the top; a new array of shape
            (boards, 2, rows, cols)
        """
        seats = np.asarray(players, dtype=np.intp)[:, None] ^ np.arange(2)
        return self.layout.unpack(self.stones[boards[:, None], seats])

    def copy_boards(self, boards: Boards) -> Connect4Rules:
        """
        :param boards: which; repetitions are allowed
        :return: independent copies
        """
        copy = object.__new__(Connect4Rules)
        copy.layout, copy.num_boards = self.layout, len(boards)
        copy.stones, copy.heights, copy.plies = self.stones[boards], self.heights[boards], self.plies[boards]
        return copy
