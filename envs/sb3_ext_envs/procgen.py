"""One Procgen game as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sb3_ext_envs.procgen_batch import FRAMES_PER_SECOND, ProcgenBatch, make_action_space, make_observation_space
from sb3_ext_envs.procgen_games import ProcgenOptions


class ProcgenEnv(gymnasium.Env[Any, Any]):
    """
    One game, with another level in each episode.

    Observations are pictures of shape (64, 64, 3), dtype uint8. Actions 0 to 8 are the joystick's, by columns: left
    (down, middle, up), middle, right; 9 to 14 are buttons, without effect in most games.

    The library starts the next episode by itself and never draws the last picture of an episode. The last step
    therefore returns the picture before it. No algorithm of SB3 learns from that one, since every episode ends as
    terminated, also when the game's time is up (after 1,000 steps in most games): the library does not distinguish.

    ``info`` of the last step has ``is_success`` and ``prev_level_complete`` (whether the level was solved),
    ``prev_level_seed`` (of that level) and ``level_seed`` (of the next); that of ``reset`` has ``level_seed``.

    :param game: one of the sixteen
    :param distribution_mode: ``"easy"`` or ``"hard"``; some games also have ``"extreme"``, ``"memory"`` or
        ``"exploration"``
    :param num_levels: how many different levels there are; 0 for all of them
    :param start_level: the seed of the first of these levels
    :param use_sequential_levels: see :class:`~sb3_ext_envs.procgen_games.ProcgenOptions`
    :param center_agent: see there
    :param use_backgrounds: see there
    :param use_monochrome_assets: see there
    :param restrict_themes: see there
    :param use_generated_assets: see there
    :param paint_vel_info: see there
    :param render_mode: ``"rgb_array"``, for pictures of shape (512, 512, 3), or ``None``
    :raises ValueError: if the game has no such levels
    :raises MissingProcgenError: if the library is not installed
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (as in the base class)
        "render_modes": ["rgb_array"],
        "render_fps": FRAMES_PER_SECOND,
    }

    native_vec_env = "sb3_ext_envs.procgen_vec_env:ProcgenVecEnv"
    """A faster ``VecEnv`` of the same games."""

    def __init__(
        self,
        game: str,
        distribution_mode: str = "hard",
        num_levels: int = 0,
        start_level: int = 0,
        use_sequential_levels: bool = False,
        center_agent: bool = True,
        use_backgrounds: bool = True,
        use_monochrome_assets: bool = False,
        restrict_themes: bool = False,
        use_generated_assets: bool = False,
        paint_vel_info: bool = False,
        render_mode: str | None = None,
    ) -> None:
        options = ProcgenOptions(
            game=game,
            distribution_mode=distribution_mode,
            num_levels=num_levels,
            start_level=start_level,
            use_sequential_levels=use_sequential_levels,
            center_agent=center_agent,
            use_backgrounds=use_backgrounds,
            use_monochrome_assets=use_monochrome_assets,
            restrict_themes=restrict_themes,
            use_generated_assets=use_generated_assets,
            paint_vel_info=paint_vel_info,
        )
        self.observation_space, self.action_space = make_observation_space(), make_action_space()
        self.render_mode = render_mode
        self._batch = ProcgenBatch(options, 1, num_threads=0, has_frames=render_mode == "rgb_array")
        self._observation: NDArray[np.uint8] = self._batch.observe()[1][0]
        self._last_frame: NDArray[np.uint8] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """
        Begin an episode.

        :param seed: determines the level of this episode and of all that follow
        :param options: not used
        :return: first picture, and the level's seed
        """
        super().reset(seed=seed)
        if seed is not None:
            self._batch.restart(seed)
        else:
            self._batch.begin_levels()
        self._observation = self._batch.observe()[1][0]
        self._last_frame = None
        return self._observation, {"level_seed": self._batch.list_levels()[0]["level_seed"]}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """
        Take one step.

        :param action: 0 to 14
        :return: picture, reward, whether the episode is over, ``False``, and an info, empty except after the last step
        """
        frame = self.render()
        self._batch.act(np.array([action]))
        rewards, observations, starts = self._batch.observe()
        before, self._observation = self._observation, observations[0]
        if not starts[0]:
            return self._observation, float(rewards[0]), False, False, {}
        self._last_frame = frame
        level = self._batch.list_levels()[0]
        info = {"is_success": bool(level["prev_level_complete"]), **level}
        return before.copy(), float(rewards[0]), True, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """
        :return: a picture of shape (512, 512, 3), after the last step the one before it; ``None`` without a mode
        """
        if self.render_mode is None or self._last_frame is not None:
            return self._last_frame
        return self._batch.draw_frames()[0]

    def state_dict(self) -> dict[str, Any]:
        """
        :return: everything that the next steps depend on
        """
        return {"games": self._batch.get_snapshot()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        :param state: from :meth:`state_dict`, perhaps of another process
        """
        # Version 0.1.0 had the list alone.
        self._batch.set_snapshot(state if isinstance(state, list) else state["games"])
        self._observation = self._batch.observe()[1][0]
        self._last_frame = None

    def close(self) -> None:
        """End the game."""
        self._batch.close()
