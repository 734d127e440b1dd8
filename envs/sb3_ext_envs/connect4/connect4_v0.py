"""Connect4 on boards of any size as a PettingZoo game: ``connect4_v0.env(rows=6, cols=7, in_a_row=4)``."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled

from sb3_ext_envs.connect4.drawing import draw_picture, draw_text
from sb3_ext_envs.connect4.rules import Connect4Rules

try:
    from pettingzoo import AECEnv
    from pettingzoo.utils import wrappers
    from pettingzoo.utils.agent_selector import AgentSelector
except ImportError as error:
    raise DependencyNotInstalled("connect4_v0 needs PettingZoo: pip install 'sb3-ext[pettingzoo]'") from error

_BOARD = np.array([0])


def env(**params: Any) -> Any:
    """
    :param params: of :class:`raw_env`
    :return: the game; an illegal move loses it
    """
    game = wrappers.TerminateIllegalWrapper(raw_env(**params), illegal_reward=-1)
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(game))


class raw_env(AECEnv):  # type: ignore[misc]
    """
    The game itself, without protection from illegal moves.

    Observations are ``{"observation": planes, "action_mask": mask}``: planes of 0 and 1, int8, shape (2, rows, cols),
    the observer's stones, then the other's, row 0 at the top; the mask, int8, shape (cols,), is all 0 when it is not
    the observer's turn. The winner gets +1, the loser -1.

    :param rows: of the board, from 1 to 60
    :param cols: of the board, at least 1
    :param in_a_row: stones in a line that win: at least 2, at most the longer side of the board
    :param render_mode: ``"ansi"``, ``"rgb_array"`` or ``None``
    :raises ValueError: if the numbers are not as they should be
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (as in the base class)
        "render_modes": ["ansi", "rgb_array"],
        "name": "connect4_v0",
        "is_parallelizable": False,
        "render_fps": 2,
    }

    def __init__(self, rows: int = 6, cols: int = 7, in_a_row: int = 4, render_mode: str | None = None) -> None:
        super().__init__()
        self._rules = Connect4Rules(1, rows, cols, in_a_row)
        self.render_mode = render_mode
        self.possible_agents = ["player_0", "player_1"]
        planes, mask = spaces.Box(0, 1, (2, rows, cols), np.int8), spaces.Box(0, 1, (cols,), np.int8)
        self.observation_spaces = {
            agent: spaces.Dict({"observation": planes, "action_mask": mask}) for agent in self.possible_agents
        }
        self.action_spaces = {agent: spaces.Discrete(cols) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Dict:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Discrete:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """
        Begin a game.

        :param seed: not used, since the game is deterministic
        :param options: not used
        """
        self._rules.reset(_BOARD)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self._selector = AgentSelector(self.agents)
        self.agent_selection = self._selector.reset()

    def step(self, action: int | None) -> None:
        """
        Make a move of the player whose turn it is.

        :param action: a column that has room; ``None`` when the game is over
        """
        mover = self.agent_selection
        if self.terminations[mover]:
            self._was_dead_step(action)
            return
        is_won, is_over = self._rules.play(_BOARD, np.array([action]))
        self._cumulative_rewards[mover] = 0.0
        self._clear_rewards()
        self.agent_selection = self._selector.next()
        if is_won[0]:
            self.rewards[mover], self.rewards[self.agent_selection] = 1.0, -1.0
        if is_over[0]:
            self.terminations = dict.fromkeys(self.agents, True)
        self._accumulate_rewards()

    def observe(self, agent: str) -> dict[str, Any]:
        """
        :param agent: the player
        :return: the board with its own stones first, and its legal moves
        """
        player = self.possible_agents.index(agent)
        legal = self._rules.find_legal(_BOARD)[0].astype(np.int8)
        return {
            "observation": self._rules.draw_planes(_BOARD, np.array([player]))[0],
            "action_mask": legal if agent == self.agent_selection else np.zeros_like(legal),
        }

    def render(self) -> Any:
        """:return: lines of text, a picture of shape (48 * rows, 48 * cols, 3), or ``None``, by the render mode"""
        planes = self._rules.draw_planes(_BOARD, np.array([0]))[0]
        if self.render_mode == "ansi":
            return draw_text(planes)
        return draw_picture(planes) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Nothing is open."""
