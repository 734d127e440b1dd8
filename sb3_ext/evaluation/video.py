"""Film the episodes that are played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_normalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_ext.evaluation.film import Film, Frame, caption_frame

_LAST_FRAME_SECONDS = 0.7


class LastFrameWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """
    Renders the end of each episode into ``info["last_frame"]``: a ``VecEnv`` resets its environment before
    a caller could render that state.

    :param env: made with ``render_mode="rgb_array"``
    """

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and add the picture to the info of the last step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info["last_frame"] = self.env.render()
        return observation, reward, terminated, truncated, info


class VideoRecorder(VecEnvWrapper):
    """
    Films what is played in an environment, one episode after the other, with step and return above the picture.

    Put it around everything else, and close it when all is played::

        recorder = VideoRecorder(env, Path("video.mp4"))
        try:
            episodes = list(play_episodes(model, recorder, 3))
        finally:
            recorder.close()

    :param venv: a single environment, made with ``render_mode="rgb_array"``. The picture after the last step of an
        episode is there if a :class:`LastFrameWrapper` is around the environment itself
    :param path: a file name that ends in ``.mp4`` or ``.gif``
    :raises ValueError: if there are several environments, or they cannot be filmed, or the file name ends otherwise
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
        frames_per_second = venv.get_attr("metadata")[0].get("render_fps", 30)
        self._film = Film(path, frames_per_second)
        self._held_frames = round(_LAST_FRAME_SECONDS * frames_per_second)
        self._normalizer = unwrap_vec_normalize(venv)
        self._episodes = self._steps = 0
        self._return = 0.0

    def reset(self) -> VecEnvObs:
        """Reset; the film continues with the next episode."""
        if self._steps > 0 or self._episodes == 0:
            self._begin_episode()
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        """Step, after a picture of the first state of an episode."""
        if self._steps == 0:
            self._add(self._render())
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and add a picture."""
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
        """Finish the film, then close the environments."""
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
