"""PettingZoo's AEC games as :class:`~sb3_ext.selfplay.games.game.Game`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Boards, MoveResults
from sb3_ext.selfplay.games.pettingzoo_env import (
    copy_env,
    freeze_env,
    get_board_space,
    is_over,
    make_env,
    remove_players_that_are_out,
    thaw_env,
)

_MAX_DEALS = 1000


class PettingZooGame:
    """
    Any two-player turn-based AEC game; see :class:`~sb3_ext.selfplay.games.game.Game` for the methods.

    Each board has its own environment, and they are stepped one after the other. Observations, action masks
    (``action_mask`` in the observation or the info) and rewards are the environment's. The agent that moves first in a
    game is player 0 of that game. ``branch`` and ``state_dict`` copy all attributes of the environment, including
    hidden cards and random generators, and raise :class:`~sb3_ext.vec.snapshots.SnapshotError` if that is impossible.

    A game ends when both agents are terminated or truncated; if only one is, the other continues alone. A game that
    ends during the reset is reset again.

    :param num_boards: number of games played in parallel
    :param game_id: a module with a function ``env``, such as ``pettingzoo.classic.tictactoe_v3``
    :param seed: seed of chance moves; ``None`` for an unseeded generator
    :param params: keyword arguments of that function
    :raises ConfigError: if the game is unknown, or not a turn-based two-player game with Discrete actions
    :raises MissingExtraError: if PettingZoo is not installed
    """

    def __init__(self, num_boards: int, game_id: str, seed: int | None = None, **params: Any) -> None:
        self.id = game_id
        self._generator = np.random.default_rng(seed)
        self._envs = [make_env(game_id, params) for _ in range(num_boards)]
        template = self._envs[0]
        player = template.possible_agents[0]
        self.action_space: spaces.Discrete = template.action_space(player)
        board_space = get_board_space(template.observation_space(player))
        assert isinstance(board_space, spaces.Box)
        self.observation_space: spaces.Box = board_space
        self._seats: list[tuple[Any, Any]] = [("", "")] * num_boards
        self._movers = np.zeros(num_boards, np.int8)
        self.reset(np.arange(num_boards))

    @property
    def num_boards(self) -> int:
        return len(self._envs)

    @property
    def movers(self) -> NDArray[np.int8]:
        return self._movers.copy()

    def reset(self, boards: Boards) -> None:
        seeds = self._generator.integers(2**31, size=len(boards))
        for board, seed in zip(boards, seeds, strict=True):
            env = self._deal(board, int(seed))
            others = [player for player in env.possible_agents if player != env.agent_selection]
            self._seats[board] = (env.agent_selection, others[0])
            self._movers[board] = 0

    def _deal(self, board: int, seed: int) -> Any:
        """:return: the board's environment, reset to a game that is not over"""
        env = self._envs[board]
        for deal in range(_MAX_DEALS):
            env.reset(seed=seed + deal)
            if not is_over(env):
                remove_players_that_are_out(env)
                return env
        raise SelfPlayError(f"{self.id}: {_MAX_DEALS} games in a row were over before a player could move")

    def find_legal(self, boards: Boards) -> NDArray[np.bool_]:
        return np.stack([self._read_mask(board) for board in boards]) if len(boards) else self._make_empty_masks()

    def play(self, boards: Boards, actions: NDArray[np.integer[Any]]) -> MoveResults:
        rewards, ends = np.zeros((len(boards), 2), np.float32), np.zeros(len(boards), np.bool_)
        for row, (board, action) in enumerate(zip(boards, actions, strict=True)):
            env, seats = self._envs[board], self._seats[board]
            env.step(int(action))
            rewards[row] = [env.rewards.get(player, 0.0) for player in seats]
            ends[row] = is_over(env)
            if not ends[row]:
                remove_players_that_are_out(env)
                self._movers[board] = seats.index(env.agent_selection)
        return MoveResults(rewards, ends)

    def observe(self, boards: Boards, players: NDArray[np.integer[Any]]) -> NDArray[Any]:
        space = self.observation_space
        views = np.empty((len(boards), *space.shape), space.dtype)
        for row, (board, player) in enumerate(zip(boards, players, strict=True)):
            observation = self._envs[board].observe(self._seats[board][player])
            views[row] = observation["observation"] if isinstance(observation, dict) else observation
        return views

    def branch(self, boards: NDArray[np.intp]) -> PettingZooGame:
        copy = object.__new__(PettingZooGame)
        copy.id, copy.action_space, copy.observation_space = self.id, self.action_space, self.observation_space
        copy._generator = np.random.default_rng(0)
        copy._generator.bit_generator.state = self._generator.bit_generator.state
        states = {board: freeze_env(self._envs[board]) for board in set(boards.tolist())}
        copy._envs = [copy_env(self._envs[board], states[board]) for board in boards.tolist()]
        copy._seats = [self._seats[board] for board in boards]
        copy._movers = self._movers[boards]
        return copy

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            "envs": [freeze_env(env) for env in self._envs],
            "seats": list(self._seats),
            "movers": self._movers.copy(),
            "generator": self._generator.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        for env, frozen in zip(self._envs, state["envs"], strict=True):
            thaw_env(env, frozen)
        self._seats = list(state["seats"])
        self._movers = state["movers"].copy()
        self._generator.bit_generator.state = state["generator"]

    def render(self, board: int) -> str:
        env = self._envs[board]
        if env.render_mode == "ansi":
            return str(env.render())
        (view,) = self.observe(np.array([board]), np.array([0]))
        planes = view if view.shape[0] == 2 else np.moveaxis(view, -1, 0)
        if view.ndim == 3 and len(planes) == 2 and np.isin(planes, (0, 1)).all():
            cells = np.array([".", "X", "O"])[planes[0].astype(int) + 2 * planes[1].astype(int)]
            return "\n".join(" ".join(row) for row in cells)
        (view,) = self.observe(np.array([board]), self._movers[[board]])  # the player to move sees only its own cards
        return np.array2string(view, threshold=200)

    def _read_mask(self, board: int) -> NDArray[np.bool_]:
        env = self._envs[board]
        observation = env.observe(env.agent_selection)
        source = observation if isinstance(observation, dict) else env.infos[env.agent_selection]
        mask = source.get("action_mask")
        if mask is None:
            return np.ones(int(self.action_space.n), np.bool_)
        legal = np.asarray(mask, dtype=np.bool_)
        if not legal.any() and not is_over(env):
            raise SelfPlayError(
                f"{self.id}: {env.agent_selection} has no legal move (action_mask is 0) although the game is not over"
            )
        return legal

    def _make_empty_masks(self) -> NDArray[np.bool_]:
        return np.zeros((0, int(self.action_space.n)), np.bool_)
