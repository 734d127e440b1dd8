"""Episodes on film: every state of every episode, with its numbers, in a file that players can play."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecNormalize

from sb3_ext.errors import MissingExtraError
from sb3_ext.evaluation import video as video_module
from sb3_ext.evaluation.episode_loop import Episode, play_episodes
from sb3_ext.evaluation.film import Film, caption_frame
from sb3_ext.evaluation.last_frame import LastFrameWrapper
from sb3_ext.evaluation.video import VideoRecorder


class BrightnessEnv(gym.Env[Any, Any]):
    """Three steps an episode, worth 2 each; the picture of the nth state is as bright as 60 n."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = "rgb_array", shape: tuple[int, ...] = (31, 40, 3)) -> None:
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}
        self.shape = shape

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.zeros(1, np.float32), 2.0, self.steps == 3, False, {}

    def render(self) -> np.ndarray:
        return np.full(self.shape, 60 * self.steps, np.uint8)


class FirstAction:
    def predict(self, observation: Any, state: Any, episode_start: Any, deterministic: bool) -> tuple[np.ndarray, Any]:
        return np.zeros(len(observation), dtype=int), state


def make_env(wrapper: Any = LastFrameWrapper, **kwargs: Any) -> VecEnv:
    return make_vec_env(BrightnessEnv, 1, env_kwargs=kwargs, wrapper_class=wrapper)


def film(env: VecEnv, path: Path, episodes: int = 2) -> list[Episode]:
    recorder = VideoRecorder(env, path)
    try:
        return list(play_episodes(FirstAction(), recorder, episodes))
    finally:
        recorder.close()


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[str, ...]]]:
    """The brightness of every picture, and what stands above it."""
    seen: list[tuple[int, tuple[str, ...]]] = []

    def record(frame: np.ndarray, texts: tuple[str, ...]) -> np.ndarray:
        seen.append((int(frame.max()), texts))
        return caption_frame(frame, texts)

    monkeypatch.setattr(video_module, "caption_frame", record)
    return seen


def test_every_state_of_every_episode_is_there_with_its_numbers(tmp_path: Path, captions: list[Any]) -> None:
    played = film(make_env(), tmp_path / "video.gif")

    def expect(episode: str) -> list[Any]:
        states = [(60 * n, (episode, f"step {n}", f"return {2 * n}.00")) for n in range(4)]
        return states + states[-1:] * 7  # 0.7 s to see how it ended, at ten pictures a second

    assert captions == expect("episode 1") + expect("episode 2")
    assert [(episode.episode_return, episode.length) for episode in played] == [(6.0, 3)] * 2


def test_without_the_wrapper_the_last_state_is_missing_and_none_is_wrong(tmp_path: Path, captions: list[Any]) -> None:
    film(make_env(wrapper=None), tmp_path / "video.gif")

    assert [brightness for brightness, _ in captions] == [0, 60, 120] * 2


def test_the_environment_may_be_in_another_process(tmp_path: Path, captions: list[Any]) -> None:
    env = make_vec_env(BrightnessEnv, 1, wrapper_class=LastFrameWrapper, vec_env_cls=SubprocVecEnv)

    film(env, tmp_path / "video.gif", episodes=1)

    assert [brightness for brightness, _ in captions] == [0, 60, 120] + [180] * 8


def test_returns_are_the_environments_own(tmp_path: Path, captions: list[Any]) -> None:
    env = VecNormalize(make_env(), training=False, norm_reward=True)
    env.ret_rms.var = np.array(400.0)

    film(env, tmp_path / "video.gif", episodes=1)

    assert captions[-1][1] == ("episode 1", "step 3", "return 6.00")


def test_gif(tmp_path: Path) -> None:
    path = tmp_path / "video.gif"
    film(make_env(), path)

    with Image.open(path) as image:
        # Pillow merges equal pictures: four states an episode, the last for 0.8 s.
        durations = []
        for frame in range(image.n_frames):
            image.seek(frame)
            durations.append(image.info["duration"])
        assert durations == [100, 100, 100, 800] * 2
        assert image.info["loop"] == 0
        assert image.size == (480, 408)
        image.seek(3)
        assert abs(np.asarray(image.convert("RGB"))[-10:].mean() - 180) < 6


def test_mp4(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    film(make_env(), path)

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    pictures = np.frombuffer(decoded, np.uint8).reshape(-1, 408, 480, 3)
    brightness = [float(picture[-10:].mean()) for picture in pictures]
    assert brightness == pytest.approx(([0, 60, 120] + [180] * 8) * 2, abs=6)
    assert imageio_ffmpeg.count_frames_and_secs(path) == (22, 2.2)


@pytest.mark.parametrize("shape", [(31, 40, 3), (400, 601, 3), (64, 64, 3), (210, 160, 3)])
def test_captions_are_legible_and_cover_nothing(shape: tuple[int, ...]) -> None:
    frame = np.full(shape, 77, np.uint8)

    picture = caption_frame(frame, ("episode 12", "step 12345", "return -12345.67"))

    height, width = picture.shape[0], picture.shape[1]
    factor = round(width / shape[1])
    strip = picture[: height - factor * shape[0] - (factor * shape[0]) % 2]
    assert height % 2 == width % 2 == 0
    assert min(width, height) >= 360
    assert (picture[strip.shape[0] :, : factor * shape[1]][: factor * shape[0]] == 77).all()
    written = np.flatnonzero((strip > 128).any(axis=(0, 2)))
    assert written.max() < width - 5
    assert np.ptp(np.flatnonzero((strip > 128).any(axis=(1, 2)))) >= 10


def test_the_size_does_not_depend_on_the_text() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    assert caption_frame(frame, ("",)).shape == caption_frame(frame, ("return -1000000000.00" * 9,)).shape


def test_several_environments_cannot_be_filmed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only one environment at a time can be filmed, but got 2"):
        VideoRecorder(make_vec_env(BrightnessEnv, 2), tmp_path / "video.gif")


@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_an_environment_that_renders_no_pictures(tmp_path: Path, render_mode: str | None) -> None:
    with pytest.raises(ValueError, match=f"needs render_mode='rgb_array', but got {render_mode!r}"):
        VideoRecorder(make_env(render_mode=render_mode), tmp_path / "video.gif")


def test_an_environment_that_renders_something_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must render shape \(height, width, 3\), but got shape \(9, 9\)"):
        film(make_env(shape=(9, 9)), tmp_path / "video.gif")


@pytest.mark.parametrize("name", ["video.avi", "video", "video.png"])
def test_other_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must be an \.mp4 or a \.gif file, but got '" + name):
        Film(tmp_path / name, 30)


def test_missing_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[video\]'"):
        Film(tmp_path / "video.mp4", 30)
    Film(tmp_path / "video.gif", 30)


@pytest.mark.parametrize("name", ["video.mp4", "video.gif"])
def test_a_film_without_frames_writes_no_file(tmp_path: Path, name: str) -> None:
    VideoRecorder(make_env(), tmp_path / name).close()
    assert list(tmp_path.iterdir()) == []


def test_a_fast_gif_leaves_pictures_out_and_keeps_the_speed(tmp_path: Path) -> None:
    path = tmp_path / "video.gif"
    gif = Film(path, 50)
    for brightness in range(0, 200, 20):
        gif.add(np.full((20, 20, 3), brightness, np.uint8))
    gif.close()

    with Image.open(path) as image:
        assert (image.n_frames, image.info["duration"]) == (5, 40)
