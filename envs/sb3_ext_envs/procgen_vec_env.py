"""Many Procgen games as one ``VecEnv``, stepped in the library's own threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from sb3_ext_envs.procgen_batch import FRAMES_PER_SECOND, ProcgenBatch, make_action_space, make_observation_space
from sb3_ext_envs.procgen_games import ProcgenOptions, name_environment

_MAX_THREADS = 4  # the library's own default; a step of 32 games takes less than a millisecond


class ProcgenVecEnv(VecEnv):
    """
    The same games as several :class:`~sb3_ext_envs.procgen.ProcgenEnv`, with less overhead.

    ``terminal_observation`` is the picture before the last step, and no episode is truncated, see there. Only infos of
    a last step have content. A seed and the number of games determine all levels that follow.

    :param num_envs: number of games
    :param game: its name
    :param num_threads: threads of the library; ``None`` for one a core, at most four
    :param render_mode: ``"rgb_array"`` or ``None``
    :param options: as for :class:`~sb3_ext_envs.procgen_games.ProcgenOptions`
    :raises ValueError: if the game has no such levels
    :raises MissingProcgenError: if the library is not installed
    """

    def __init__(
        self,
        num_envs: int,
        game: str,
        *,
        num_threads: int | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        if num_threads is None:
            num_threads = min(_MAX_THREADS, num_envs, _count_cores())
        self._batch = ProcgenBatch(
            ProcgenOptions(game, **options), num_envs, num_threads=num_threads, has_frames=render_mode == "rgb_array"
        )
        self.render_mode = render_mode
        self.spec = gymnasium.spec(name_environment(game))
        super().__init__(num_envs, make_observation_space(), make_action_space())
        self.metadata: dict[str, Any] = {**self.metadata, "render_fps": FRAMES_PER_SECOND}
        self._observations: NDArray[np.uint8] = self._batch.observe()[1]

    def reset(self) -> NDArray[np.uint8]:
        """
        Begin an episode in each game.

        :return: first pictures, shape (num_envs, 64, 64, 3)
        """
        if self._seeds[0] is not None:
            self._batch.restart(self._seeds[0])
            self._reset_seeds()
        else:
            self._batch.begin_levels()
        self._reset_options()
        self._observations = self._batch.observe()[1]
        self.reset_infos = [{"level_seed": level["level_seed"]} for level in self._batch.list_levels()]
        return self._observations

    def step_async(self, actions: NDArray[np.integer[Any]]) -> None:
        """
        Start a step in the library's threads.

        :param actions: shape (num_envs,), 0 to 14
        """
        self._batch.act(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """
        Wait for the end of the step.

        :return: pictures, rewards, whether each episode is over, and infos
        """
        rewards, observations, dones = self._batch.observe()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            levels = self._batch.list_levels()
            for place in np.flatnonzero(dones):
                infos[place] = {
                    "is_success": bool(levels[place]["prev_level_complete"]),
                    **levels[place],
                    "terminal_observation": self._observations[place].copy(),
                }
        self._observations = observations
        return observations, rewards, dones, infos

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """
        :return: large pictures, shape (512, 512, 3) each; ``None`` without a render mode
        """
        return self._batch.draw_frames() if self.render_mode == "rgb_array" else [None] * self.num_envs

    def state_dict(self) -> dict[str, Any]:
        """
        :return: everything that the next steps depend on
        """
        return {"games": self._batch.get_snapshot()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        :param state: from :meth:`state_dict` of as many games, perhaps of another process
        """
        # Version 0.1.0 had the list alone.
        self._batch.set_snapshot(state if isinstance(state, list) else state["games"])
        self._observations = self._batch.observe()[1]
        self._reset_seeds()

    def close(self) -> None:
        """End the games and their threads."""
        self._batch.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attributes of this object, which all games share."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Not supported: games have no attributes of their own."""
        raise AttributeError(f"the games of a ProcgenVecEnv have no attributes of their own, such as {attr_name!r}")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Not supported: games are not Python objects."""
        raise AttributeError(f"the games of a ProcgenVecEnv have no methods of their own, such as {method_name!r}")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """:return: ``False`` for each game"""
        return [False for _ in self._get_indices(indices)]


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
