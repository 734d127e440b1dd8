"""A game of a person against an agent, with undo and advice."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.zero_sum import check_zero_sum
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.solvers.solution import Solver

_BOARD = np.zeros(1, dtype=np.intp)


class MoveAdvice(NamedTuple):
    """
    An agent's assessment of the legal moves.

    :param values: value by action, best first
    :param are_probabilities: whether the values are probabilities of the policy; otherwise they are Q-values
    """

    values: dict[int, float]
    are_probabilities: bool


class MoveTruth(NamedTuple):
    """
    The result of a move, if both players play perfectly afterwards.

    :param value: 1 for a win, 0 for a draw, -1 for a loss of the person
    :param plies: number of moves until the end of the game, including this one
    """

    value: int
    plies: int


@runtime_checkable
class Adviser(Protocol):
    """An opponent that explains its move."""

    has_values: bool

    def judge(self, game: Game, boards: NDArray[np.intp]) -> NDArray[np.float64]:
        """:return: shape (boards, actions); NaN where a move is illegal"""


class PersonGame:
    """
    A game on one board. The caller calls :meth:`play` on the person's turns and :meth:`answer` on the agent's.

    :param game: a game with one board, which is reset
    :param agent: the agent
    :param seat: seat of the person; 0 moves first
    :raises ValueError: if the game has several boards, or the seat is neither 0 nor 1
    """

    def __init__(self, game: Game, agent: Opponent, seat: int) -> None:
        if game.num_boards != 1:
            raise ValueError(f"a person plays on one board, but got {game.num_boards}")
        if seat not in (0, 1):
            raise ValueError(f"seat must be 0 or 1, but got {seat}")
        self.game = game
        self.agent = agent
        self.seat = seat
        #: the latest move on the board, if there is one
        self.last_action: int | None = None
        self.is_over = False
        self._rewards = np.zeros(2, dtype=np.float32)
        self._earlier: list[tuple[Any, ...]] = []
        game.reset(_BOARD)

    @property
    def is_persons_turn(self) -> bool:
        """Whether the game waits for the person."""
        return not self.is_over and int(self.game.movers[0]) == self.seat

    @property
    def result(self) -> float | None:
        """Result of the person: 1 won, 0 drawn, −1 lost; ``None`` while the game is not over."""
        if not self.is_over:
            return None
        return float(np.sign(self._rewards[self.seat] - self._rewards[1 - self.seat]))

    def list_legal(self) -> list[int]:
        """:return: the legal actions; none if the game is over"""
        return [] if self.is_over else np.flatnonzero(self.game.find_legal(_BOARD)[0]).tolist()

    def play(self, action: int) -> None:
        """
        Make the person's move.

        :param action: the move
        :raises SelfPlayError: if it is not legal, or it is not the person's turn
        """
        if not self.is_persons_turn:
            raise SelfPlayError("it is not your turn")
        if action not in self.list_legal():
            raise SelfPlayError(f"action {action} is not legal here")
        self._earlier.append((self.game.state_dict(), self.last_action, self.is_over, self._rewards.copy()))
        self._move(action)

    def answer(self) -> int:
        """
        Make the agent's move.

        :return: the move
        :raises SelfPlayError: if it is not the agent's turn
        """
        if self.is_over or self.is_persons_turn:
            raise SelfPlayError("it is not the agent's turn")
        action = int(self.agent.act(self.game, _BOARD)[0])
        self._move(action)
        return action

    def undo(self) -> bool:
        """
        Take back the person's latest move, and the moves after it.

        :return: whether there was such a move
        """
        if not self._earlier:
            return False
        snapshot, self.last_action, self.is_over, self._rewards = self._earlier.pop()
        self.game.load_state_dict(snapshot)
        return True

    def advise(self) -> MoveAdvice | None:
        """:return: the agent's assessment of the person's legal moves; ``None`` if the agent gives none"""
        if self.is_over or not isinstance(self.agent, Adviser):
            return None
        values = self.agent.judge(self.game, _BOARD)[0]
        ranked = sorted(self.list_legal(), key=lambda action: -values[action])
        return MoveAdvice({action: float(values[action]) for action in ranked}, not self.agent.has_values)

    def solve(self, solver: Solver) -> dict[int, MoveTruth]:
        """
        :param solver: of this game
        :return: the results of the person's legal moves with perfect play, by action; none if the game is over
        """
        if self.is_over:
            return {}
        (values,), (plies,) = solver.solve(self.game, _BOARD)
        return {action: MoveTruth(int(values[action]), int(plies[action])) for action in self.list_legal()}

    def _move(self, action: int) -> None:
        rewards, ends = self.game.play(_BOARD, np.array([action], dtype=np.intp))
        self._rewards += rewards[0]
        self.last_action, self.is_over = action, bool(ends[0])
        if self.is_over:
            check_zero_sum(self.game.id, self._rewards[None])
