"""Base class of vectorised environments made of the boards of one game."""

from __future__ import annotations

from abc import ABC
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from sb3_ext.selfplay.games.game import Boards, Game


class BoardVecEnv(VecEnv, ABC):
    """
    The boards of one game as a ``VecEnv`` in this process.

    :param game: the game; each board is one environment
    :param masks_in_observation: observations are a ``Dict`` of ``observation`` and ``action_mask`` (int8), for
        algorithms that do not call ``action_masks()``
    """

    def __init__(self, game: Game, *, masks_in_observation: bool = False) -> None:
        self.game = game
        self.render_mode = "ansi"
        self._has_masks = masks_in_observation
        self._num_actions = int(game.action_space.n)
        self._all = np.arange(game.num_boards)
        self._legal: NDArray[np.bool_] | None = None
        space: spaces.Space[Any] = game.observation_space
        if masks_in_observation:
            masks = spaces.Box(0, 1, (self._num_actions,), np.int8)
            space = spaces.Dict({"action_mask": masks, "observation": game.observation_space})
        super().__init__(game.num_boards, space, game.action_space)

    def action_masks(self) -> NDArray[np.bool_]:
        """:return: mask of the legal actions of the players to move, shape (boards, actions)"""
        if self._legal is None:
            self._legal = self._find_legal()
        return self._legal

    def _find_legal(self) -> NDArray[np.bool_]:
        return self.game.find_legal(self._all)

    def _note_change(self) -> None:
        """Discard the cached action masks after a move."""
        self._legal = None

    def _observe(self, boards: Boards, players: NDArray[np.int8], *, is_over: bool = False) -> Any:
        observations = self.game.observe(boards, players)
        if not self._has_masks:
            return observations
        if is_over:  # no action is legal
            masks = np.zeros((len(boards), self._num_actions), dtype=np.int8)
        else:
            masks = self.action_masks()[boards].astype(np.int8)
        return {"action_mask": masks, "observation": observations}

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """
        :param method_name: only ``action_masks``
        :param indices: indices of boards
        :return: the action mask of each board
        """
        if method_name != "action_masks":
            raise AttributeError(f"boards of {self.game.id} have no method {method_name}")
        masks = self.action_masks()
        return list(masks) if indices is None else [masks[index] for index in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """
        :param attr_name: ``action_masks`` or ``render_mode``
        :param indices: indices of boards
        :return: the attribute of each board
        """
        if attr_name not in ("action_masks", "render_mode"):
            raise AttributeError(f"boards of {self.game.id} have no attribute {attr_name}")
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Raise: boards have no attributes to set."""
        raise AttributeError(f"boards of {self.game.id} have no attribute {attr_name}")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """:return: ``False`` for each board"""
        return [False] * len(list(self._get_indices(indices)))

    def render(self, mode: str | None = None) -> str:  # type: ignore[override]
        """:return: the first board as text"""
        return self.game.render(0)

    def close(self) -> None:
        """Do nothing: boards hold no resources."""


def pick_observation(observations: Any, index: int) -> Any:
    """
    :param observations: an array, or a ``dict`` of arrays
    :param index: index of a row
    :return: the row
    """
    if isinstance(observations, dict):
        return {key: values[index] for key, values in observations.items()}
    return observations[index]
