"""Tic-tac-toe in a page, the smallest game with wins, losses, draws and a win with the last stone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from sb3_ext.selfplay.games.game import Boards, MoveResults

LINES = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])


class Toy:
    """
    Tic-tac-toe.

    :param moves_a_turn: how many moves a player makes in a row
    """

    id = "toy"

    def __init__(self, num_boards: int = 1, moves_a_turn: int = 1) -> None:
        self.num_boards = num_boards
        self.observation_space = spaces.Box(0.0, 1.0, (18,), np.float32)
        self.action_space = spaces.Discrete(9)
        self.cells = np.full((num_boards, 9), -1, dtype=np.int8)
        self._moves_a_turn = moves_a_turn

    @property
    def movers(self) -> Any:
        stones = (self.cells >= 0).sum(axis=1)
        return (stones // self._moves_a_turn % 2).astype(np.int8)

    def reset(self, boards: Boards) -> None:
        self.cells[boards] = -1

    def find_legal(self, boards: Boards) -> Any:
        return self.cells[boards] < 0

    def play(self, boards: Boards, actions: Any) -> MoveResults:
        movers = self.movers[boards]
        assert (self.cells[boards, actions] < 0).all()
        self.cells[boards, actions] = movers
        wins = (self.cells[boards][:, LINES] == movers[:, None, None]).all(axis=2).any(axis=1)
        rewards = np.zeros((len(boards), 2), dtype=np.float32)
        rewards[np.arange(len(boards)), movers] = wins
        rewards[np.arange(len(boards)), 1 - movers] = -wins.astype(np.float32)
        return MoveResults(rewards, wins | (self.cells[boards] >= 0).all(axis=1))

    def observe(self, boards: Boards, players: Any) -> Any:
        own = self.cells[boards] == players[:, None]
        others = self.cells[boards] == 1 - players[:, None]
        return np.concatenate([own, others], axis=1).astype(np.float32)

    def branch(self, boards: Any) -> Toy:
        game = Toy(len(boards), self._moves_a_turn)
        game.cells = self.cells[boards].copy()
        return game

    def state_dict(self) -> Any:
        return self.cells.copy()

    def load_state_dict(self, snapshot: Any) -> None:
        self.cells = snapshot.copy()

    def render(self, board: int) -> str:
        rows = self.cells[board].reshape(3, 3)
        return "\n".join("".join(".XO"[cell + 1] for cell in row) for row in rows)


class Folding:
    """
    Each move folds (0), which loses the game, or goes on (1); after ``longest`` moves it is a draw.

    :param stake: what going on costs, paid into a pot at once, which the winner gets in the end
    :param bonus: what both players get in the end: a game that is not zero-sum
    """

    id = "folding"

    def __init__(self, num_boards: int = 1, longest: int = 4, stake: float = 0.0, bonus: float = 0.0) -> None:
        self.num_boards = num_boards
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.plies = np.zeros(num_boards, dtype=np.int8)
        self.paid = np.zeros((num_boards, 2), dtype=np.float32)
        self._arguments = longest, stake, bonus

    @property
    def movers(self) -> Any:
        return self.plies % 2

    def reset(self, boards: Boards) -> None:
        self.plies[boards] = 0
        self.paid[boards] = 0.0

    def find_legal(self, boards: Boards) -> Any:
        return np.ones((len(boards), 2), dtype=np.bool_)

    def play(self, boards: Boards, actions: Any) -> MoveResults:
        longest, stake, bonus = self._arguments
        movers, rows, rewards = self.movers[boards], np.arange(len(boards)), np.zeros((len(boards), 2), np.float32)
        folds = actions == 0
        rewards[rows, movers] -= np.where(folds, 0.0, stake)
        self.paid[boards] -= rewards
        self.plies[boards] += ~folds
        pot = self.paid[boards].sum(axis=1) + 1.0
        rewards[rows, 1 - movers] += np.where(folds, pot, 0.0)
        rewards[rows, movers] -= folds
        draw = self.plies[boards] == longest
        rewards += np.where(draw[:, None], self.paid[boards], 0.0) + np.where(folds | draw, bonus, 0.0)[:, None]
        return MoveResults(rewards.astype(np.float32), folds | draw)

    def observe(self, boards: Boards, players: Any) -> Any:
        return np.stack([self.plies[boards] / 4, players], axis=1).astype(np.float32)

    def branch(self, boards: Any) -> Folding:
        game = Folding(len(boards), *self._arguments)
        game.plies, game.paid = self.plies[boards], self.paid[boards]
        return game

    def state_dict(self) -> Any:
        return self.plies.copy(), self.paid.copy()

    def load_state_dict(self, snapshot: Any) -> None:
        self.plies, self.paid = (values.copy() for values in snapshot)

    def render(self, board: int) -> str:
        return f"ply {self.plies[board]}"


class RandomPlayer:
    """
    Plays uniformly, and remembers for which boards it was asked.

    :param name: its name
    :param seed: of its moves
    """

    def __init__(self, name: str = "player", seed: int = 0) -> None:
        self.name = name
        self.calls: list[list[int]] = []
        self._generator = np.random.default_rng(seed)

    def act(self, game: Any, boards: Boards) -> Any:
        self.calls.append(boards.tolist())
        legal = game.find_legal(boards)
        return (self._generator.random(legal.shape) * legal).argmax(axis=1)

    def state_dict(self) -> Any:
        return copy.deepcopy(self._generator.bit_generator.state)

    def load_state_dict(self, state: Any) -> None:
        self._generator.bit_generator.state = copy.deepcopy(state)


class ScriptedPlayer:
    """
    Plays given moves, one after the other, on whichever board.

    :param moves: the script
    """

    name = "script"

    def __init__(self, moves: list[int]) -> None:
        self._moves = list(moves)

    def act(self, game: Any, boards: Boards) -> Any:
        return np.array([self._moves.pop(0) for _ in boards])

    def state_dict(self) -> Any:
        return list(self._moves)

    def load_state_dict(self, state: Any) -> None:
        self._moves = list(state)


@pytest.fixture
def make_toy() -> Callable[..., Toy]:
    return Toy


@pytest.fixture
def make_folding() -> Callable[..., Folding]:
    return Folding


@pytest.fixture
def make_player() -> Callable[..., RandomPlayer]:
    return RandomPlayer


@pytest.fixture
def make_script() -> Callable[..., ScriptedPlayer]:
    return ScriptedPlayer
