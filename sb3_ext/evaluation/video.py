"""Record videos of episodes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_normalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_ext.evaluation.film import Film, Frame, caption_frame

_LAST_FRAME_SECONDS = 0.7


class VideoRecorder(VecEnvWrapper):
    """
    Record the episodes of an environment, with step and return above the image.

    Make it the outermost wrapper, and close it after the last episode::

        recorder = VideoRecorder(env, Path("video.mp4"))
        try:
            episodes = list(play_episodes(model, recorder, 3))
        finally:
            recorder.close()

    :param venv: a single environment, made with ``render_mode="rgb_array"``. To include the last state of episodes,
        wrap the environment itself in a :class:`~sb3_ext.evaluation.last_frame.LastFrameWrapper`
    :param path: path that ends in ``.mp4`` or ``.gif``
    :raises ValueError: if there are several environments, they cannot be rendered, or the path has another suffix
    :raises MissingExtraError: if ffmpeg is needed and missing
    """

    def __init__(self, venv: VecEnv, path: Path) -> None:
        super().__init__(venv)
        if venv.num_envs != 1:
            raise ValueError(f"only one environment at a time can be filmed, but got {venv.num_envs}")
        if venv.render_mode != "rgb_array":
            raise ValueError(
                f"to be filmed, an environment needs render_mode='rgb_array', but got {venv.render_mode!r}"
            )
        if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without a screen
        frames_per_second = venv.get_attr("metadata")[0].get("render_fps", 30)
        self._film = Film(path, frames_per_second)
        self._held_frames = round(_LAST_FRAME_SECONDS * frames_per_second)
        self._normalizer = unwrap_vec_normalize(venv)
        self._episodes = self._steps = 0
        self._return = 0.0

    def reset(self) -> VecEnvObs:
        """Reset; the video continues with the next episode."""
        if self._steps > 0 or self._episodes == 0:
            self._begin_episode()
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        """Step; before the first step of an episode, add a frame."""
        if self._steps == 0:
            self._add(self._render())
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and add a frame."""
        observations, rewards, dones, infos = self.venv.step_wait()
        [reward] = rewards if self._normalizer is None else self._normalizer.get_original_reward()
        self._steps += 1
        self._return += float(reward)
        if not dones[0]:
            self._add(self._render())
        else:
            last_frame = infos[0].pop("last_frame", None)
            if last_frame is not None:
                for _ in range(1 + self._held_frames):
                    self._add(last_frame)
            self._begin_episode()
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Finish the video, then close the environments."""
        self._film.close()
        super().close()

    def _begin_episode(self) -> None:
        self._episodes += 1
        self._steps = 0
        self._return = 0.0

    def _render(self) -> Frame:
        [frame] = self.venv.get_images()
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3:
            found = f"shape {frame.shape}" if isinstance(frame, np.ndarray) else repr(frame)
            raise ValueError(f"to be filmed, an environment must render shape (height, width, 3), but got {found}")
        return frame

    def _add(self, frame: Frame) -> None:
        captions = (f"episode {self._episodes}", f"step {self._steps}", f"return {self._return:.2f}")
        self._film.add(caption_frame(frame, captions))
