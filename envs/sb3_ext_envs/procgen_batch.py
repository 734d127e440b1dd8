"""Several Procgen games of one kind, stepped in the library's own threads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext_envs.procgen_games import ProcgenOptions
from sb3_ext_envs.procgen_library import load_games_class

FRAMES_PER_SECOND = 15
"""The speed at which people play."""

_NEW_LEVEL = -1  # as an action: end the episode


def make_observation_space() -> spaces.Box:
    """
    :return: small pictures
    """
    return spaces.Box(0, 255, (64, 64, 3), np.uint8)


def make_action_space() -> spaces.Discrete:
    """
    :return: 0 to 8, the joystick by columns: left (down, middle, up), middle, right; 9 to 14, buttons, without effect
        in most games
    """
    return spaces.Discrete(15)


class ProcgenBatch:
    """
    Games whose episodes follow each other: the observation after the last step of an episode is the first picture of
    the next. The last picture is never drawn.

    Levels depend only on the seed and on the position of a game in the batch, neither on the number of threads nor on
    other games.

    :param options: levels and graphics
    :param num_games: number of games
    :param num_threads: threads of the library; 0 steps the games in the calling thread
    :param has_frames: also draw large pictures
    :raises MissingProcgenError: if the library is not installed
    """

    def __init__(self, options: ProcgenOptions, num_games: int, *, num_threads: int, has_frames: bool = False) -> None:
        self._arguments = asdict(options)
        self._arguments["env_name"] = self._arguments.pop("game")
        if options.distribution_mode == "exploration":
            del self._arguments["num_levels"], self._arguments["start_level"]
        render_mode = "rgb_array" if has_frames else None
        self._arguments.update(num=num_games, num_threads=num_threads, render_mode=render_mode)
        self._games_class = load_games_class()
        self._games: Any = None
        self.restart(int(np.random.SeedSequence().generate_state(1)[0]))

    def restart(self, seed: int) -> None:
        """
        Replace all games by new ones.

        :param seed: determines the levels of this episode and of all that follow
        """
        replaced, self._games = self._games, self._games_class(**self._arguments, rand_seed=seed % 2**31)
        if replaced is not None:
            replaced.close()

    def begin_levels(self) -> None:
        """Begin a new episode in each game, unless all have just begun one."""
        if not self.observe()[2].all():
            self._games.act(np.full(self._games.num, _NEW_LEVEL, dtype=np.int32))

    def act(self, actions: NDArray[np.integer[Any]]) -> None:
        """
        Start a step in each game; :meth:`observe` waits for its end.

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
        :return: of each game the seed of its level (``level_seed``) and of the previous one (``prev_level_seed``), and
            whether that one was solved (``prev_level_complete``)
        """
        return [{name: int(info[name]) for name in info if name != "rgb"} for info in self._games.get_info()]

    def draw_frames(self) -> list[NDArray[np.uint8]]:
        """
        :return: a large picture of each game, shape (512, 512, 3); requires ``has_frames``
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
