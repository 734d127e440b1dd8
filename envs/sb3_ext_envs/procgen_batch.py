"""Procgen's library: several games of one kind, stepped side by side in its own threads."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import error, spaces
from numpy.typing import NDArray

from sb3_ext_envs.procgen_games import ProcgenOptions

FRAMES_PER_SECOND = 15
"""At which people play the games."""

_NEW_LEVEL = -1  # as an action: this episode is over


def make_observation_space() -> spaces.Box:
    """
    :return: small pictures
    """
    return spaces.Box(0, 255, (64, 64, 3), np.uint8)


def make_action_space() -> spaces.Discrete:
    """
    :return: 0 to 8, the joystick by columns: left (down, middle, up), middle, right; 9 to 14, buttons, which most games
        do without
    """
    return spaces.Discrete(15)


class ProcgenBatch:
    """
    Games whose episodes follow each other without a pause: what is seen after the last step of one is already the
    first picture of the next. Its last picture is never drawn.

    Levels are drawn from a generator in each game. They depend on the seed and on a game's place in the batch only,
    neither on the number of threads nor on what other games do.

    :param options: which levels are played, and how they look
    :param num_games: how many
    :param num_threads: that step them; with 0 the caller's own does
    :param has_frames: draw large pictures for people too
    :raises gymnasium.error.DependencyNotInstalled: if the library is not installed
    """

    def __init__(self, options: ProcgenOptions, num_games: int, *, num_threads: int, has_frames: bool = False) -> None:
        self._arguments = asdict(options)
        self._arguments["env_name"] = self._arguments.pop("game")
        if options.distribution_mode == "exploration":
            del self._arguments["num_levels"], self._arguments["start_level"]
        render_mode = "rgb_array" if has_frames else None
        self._arguments.update(num=num_games, num_threads=num_threads, render_mode=render_mode)
        self._library = _load_library()
        self._games: Any = None
        self.restart(int(np.random.SeedSequence().generate_state(1)[0]))

    def restart(self, seed: int) -> None:
        """
        Begin anew with other games.

        :param seed: determines the levels of this episode and of all that follow
        """
        replaced, self._games = self._games, self._library.ProcgenGym3Env(**self._arguments, rand_seed=seed % 2**31)
        if replaced is not None:
            replaced.close()

    def begin_levels(self) -> None:
        """Give up the episodes in progress: each game has a new one, unless it has just begun one."""
        if not self.observe()[2].all():
            self._games.act(np.full(self._games.num, _NEW_LEVEL, dtype=np.int32))

    def act(self, actions: NDArray[np.integer[Any]]) -> None:
        """
        Take a step in each game. Does not wait until it is taken; :meth:`observe` does.

        :param actions: one a game, shape (num_games,)
        """
        self._games.act(actions)

    def observe(self) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
        """
        :return: the rewards of the last step, shape (num_games,); pictures, shape (num_games, 64, 64, 3); whether each
            is the first of an episode. New arrays every time
        """
        rewards, observations, starts = self._games.observe()
        return rewards, observations["rgb"], starts

    def list_levels(self) -> list[dict[str, int]]:
        """
        :return: for each game the seed of its level, and of the one before it: ``level_seed``, ``prev_level_seed``,
            and whether that one was solved: ``prev_level_complete``
        """
        return [{name: int(info[name]) for name in info if name != "rgb"} for info in self._games.get_info()]

    def draw_frames(self) -> list[NDArray[np.uint8]]:
        """
        :return: a large picture of each game, shape (512, 512, 3); only ``has_frames``
        """
        return [info["rgb"] for info in self._games.get_info()]

    def get_snapshot(self) -> list[bytes]:
        """
        :return: the state of each game with its generators
        """
        states: list[bytes] = self._games.callmethod("get_state")
        return states

    def set_snapshot(self, snapshot: list[bytes]) -> None:
        """
        :param snapshot: from :meth:`get_snapshot` of as many games with the same options
        :raises ValueError: if there are more or fewer games
        """
        if len(snapshot) != self._games.num:
            raise ValueError(f"the snapshot is of {len(snapshot)} games, but there are {self._games.num}")
        self._games.callmethod("set_state", snapshot)

    def close(self) -> None:
        """End the games and their threads."""
        self._games.close()


@cache
def _load_library() -> ModuleType:
    """
    Import ``procgen``. Its shared library, whose pictures take a second to load, then stays in the process.

    :return: the module that makes games
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file open
            library = import_module("procgen.env")
    except ImportError as reason:
        raise error.DependencyNotInstalled(f"Procgen's games need the package procgen: {reason}") from reason
    _keep_loaded(library)
    return library


def _keep_loaded(library: ModuleType) -> None:
    games = library.ProcgenGym3Env(num=1, env_name="coinrun", num_threads=0, rand_seed=0)
    library.__dict__["_kept_by_sb3_ext_envs"] = games._c_lib
    games.close()
