"""Procgen's games from the package ``procgen``, for Python 3.13 and later from ``procgen_gym``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import error
from numpy.typing import NDArray

HAS_NEW_PACKAGE = sys.version_info >= (3, 13)
"""Whether the package for this Python is ``procgen_gym``, which supports NumPy 2; ``procgen`` needs NumPy 1."""


class MissingProcgenError(error.DependencyNotInstalled):
    """
    The package with Procgen's games is not installed.

    :ivar extra: of ``sb3-ext``, which installs it
    :ivar condition: what else it requires, if anything
    """

    extra = "procgen"
    condition = None if HAS_NEW_PACKAGE else "it needs NumPy 1, and so best an environment of its own"


class ProcgenGymGames:
    """
    The games of ``procgen_gym``, with those methods of ``procgen.env.ProcgenGym3Env`` that are used here.

    :param num: number of games
    :param arguments: as for ``procgen_gym.ProcgenVecEnv``
    """

    def __init__(self, *, num: int, **arguments: Any) -> None:
        self.num = num
        self._vec_env = import_module("procgen_gym").ProcgenVecEnv(num, **arguments)

    def act(self, actions: NDArray[np.integer[Any]]) -> None:
        """
        Start a step in each game.

        :param actions: one a game, shape (num,)
        """
        self._vec_env._clib.act(actions)

    def observe(self) -> tuple[NDArray[np.float32], dict[str, NDArray[np.uint8]], NDArray[np.bool_]]:
        """
        Wait for the end of the step.

        :return: rewards, shape (num,); pictures, by the name ``rgb``; whether each is the first of an episode
        """
        starts, pictures, rewards, _ = self._vec_env._clib.observe()
        return rewards, pictures, starts.astype(bool)

    def get_info(self) -> list[dict[str, Any]]:
        """
        :return: of each game the values that Procgen gives beside the picture
        """
        *_, values = self._vec_env._clib.observe()
        return [{name: values[name][place] for name in values} for place in range(self.num)]

    def callmethod(self, name: str, *arguments: Any) -> Any:
        """
        :param name: ``"get_state"`` or ``"set_state"``
        :param arguments: of that method
        :return: what it returns
        """
        return getattr(self._vec_env, name)(*arguments)

    def close(self) -> None:
        """End the games and their threads."""
        self._vec_env.close()


@cache
def load_games_class() -> Callable[..., Any]:
    """
    :return: makes games from ``num`` and the options of ``procgen.env.ProcgenGym3Env``
    :raises MissingProcgenError: if the package is not installed
    """
    package = "procgen_gym" if HAS_NEW_PACKAGE else "procgen"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # procgen leaves a file open
            library = import_module(f"{package}.env")
    except ImportError as reason:
        raise MissingProcgenError(f"Procgen's games need the package {package}: {reason}") from reason
    if HAS_NEW_PACKAGE:
        return ProcgenGymGames
    _keep_loaded(library)
    games_class: Callable[..., Any] = library.ProcgenGym3Env
    return games_class


def _keep_loaded(library: ModuleType) -> None:
    """Keep the shared library of ``procgen`` loaded: its pictures take a second to load."""
    games = library.ProcgenGym3Env(num=1, env_name="coinrun", num_threads=0, rand_seed=0)
    library.__dict__["_kept_by_sb3_ext_envs"] = games._c_lib
    games.close()
