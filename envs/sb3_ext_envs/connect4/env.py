"""Connect4 as a Gymnasium environment that contains the opponent."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext_envs.connect4.drawing import draw_picture, draw_text
from sb3_ext_envs.connect4.rules import Connect4Rules

OpponentFunction = Callable[[NDArray[np.int8], NDArray[np.bool_]], Any]
"""From an observation, shape (2, rows, cols), and the legal moves, shape (cols,), to a move."""

_STARTS = ("random", "agent_first", "opponent_first")
_BOARD = np.array([0])


class Connect4Env(gymnasium.Env[NDArray[np.int8], Any]):
    """
    One game of Connect4 an episode. A step is the agent's move and the opponent's answer.

    Observations have two planes of 0 and 1: the agent's stones, then the opponent's; row 0 is the top. An action is a
    column. The reward is +1 for a game won, -1 for one lost, 0 for a draw and before the end. An illegal move loses the
    game: reward -1, and ``illegal_move`` in the info. ``action_masks()``, and ``action_mask`` in the info, say which
    moves are legal.

    ``sb3_ext.selfplay`` plays many games at once, also against past selves.

    :param rows: of the board, from 1 to 60
    :param cols: of the board, at least 1
    :param in_a_row: stones in a line that win: at least 2, at most the longer side of the board
    :param opponent: ``"random"``, a function ``(observation, legal) -> action``, or its name, ``"module:function"``;
        its observation begins with its own stones
    :param start: ``"random"`` (drawn for each game), ``"agent_first"`` or ``"opponent_first"``
    :param render_mode: ``"ansi"``, ``"rgb_array"`` or ``None``
    :raises ValueError: if a number or ``start`` is out of range, or there is no such opponent
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012 (as in the base)

    def __init__(
        self,
        rows: int = 6,
        cols: int = 7,
        in_a_row: int = 4,
        opponent: str | OpponentFunction = "random",
        start: Literal["random", "agent_first", "opponent_first"] = "random",
        render_mode: str | None = None,
    ) -> None:
        if start not in _STARTS:
            raise ValueError(f"start must be one of {', '.join(_STARTS)}, but got {start!r}")
        self._rules = Connect4Rules(1, rows, cols, in_a_row)
        self.observation_space = spaces.Box(0, 1, (2, rows, cols), np.int8)
        self.action_space = spaces.Discrete(cols)
        self.render_mode = render_mode
        self._opponent = _load_opponent(opponent)
        self._start = start
        self._seat = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int8], dict[str, Any]]:
        """
        Begin a game; if the opponent begins, it has made its first move.

        :param seed: determines who begins, and the moves of the random opponent
        :param options: not used
        :return: observation and info
        """
        super().reset(seed=seed)
        self._rules.reset(_BOARD)
        self._seat = int(self.np_random.integers(2)) if self._start == "random" else _STARTS.index(self._start) - 1
        if self._seat == 1:
            self._let_opponent_move()
        return self._observe(self._seat), self._describe()

    def step(self, action: int) -> tuple[NDArray[np.int8], float, bool, bool, dict[str, Any]]:
        """
        Make a move and receive the answer of the opponent.

        :param action: a column
        :return: observation, reward, whether the game is over, ``False``, and info
        """
        if not self.action_masks()[action]:
            return self._observe(self._seat), -1.0, True, False, {**self._describe(), "illegal_move": True}
        is_won, is_over = self._rules.play(_BOARD, np.array([action]))
        reward = float(is_won[0])
        if not is_over[0]:
            is_won, is_over = self._let_opponent_move()
            reward = -float(is_won[0])
        return self._observe(self._seat), reward, bool(is_over[0]), False, self._describe()

    def action_masks(self) -> NDArray[np.bool_]:
        """:return: which columns have room, shape (cols,)"""
        return np.asarray(self._rules.find_legal(_BOARD)[0])

    def render(self) -> Any:
        """:return: lines of text, a picture of shape (48 * rows, 48 * cols, 3), or ``None``, by the render mode"""
        planes = self._observe(player=0)
        if self.render_mode == "ansi":
            return draw_text(planes)
        return draw_picture(planes) if self.render_mode == "rgb_array" else None

    def _let_opponent_move(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        legal = self.action_masks()
        if self._opponent is None:
            action = int(self.np_random.choice(np.flatnonzero(legal)))
        else:
            action = int(self._opponent(self._observe(1 - self._seat), legal.copy()))
        if not (0 <= action < len(legal) and legal[action]):
            raise ValueError(f"the opponent made the illegal move {action}:\n{draw_text(self._observe(player=0))}")
        return self._rules.play(_BOARD, np.array([action]))

    def _observe(self, player: int) -> NDArray[np.int8]:
        return np.asarray(self._rules.draw_planes(_BOARD, np.array([player]))[0])

    def _describe(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks().astype(np.int8)}


def _load_opponent(opponent: str | OpponentFunction) -> OpponentFunction | None:
    """:return: the function; ``None`` for random moves"""
    if opponent == "random":
        return None
    found: Any = opponent
    if isinstance(opponent, str):
        module, _, name = opponent.partition(":")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"opponent must be 'random' or 'module:function', but got {opponent!r}: {error}"
            ) from error
    if not callable(found):
        raise ValueError(f"opponent must be 'random', 'module:function' or a function, but got {found!r}")
    function: OpponentFunction = found
    return function
