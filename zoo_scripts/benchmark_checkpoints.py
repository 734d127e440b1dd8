"""
Measure for how long a checkpoint blocks training, compared with Stable-Baselines3's ``CheckpointCallback``.

Both save in turns within the same training. A PPO on CartPole with ``VecNormalize``, and a DQN whose replay buffer
holds a million images of 84 x 84 (28 GB of address space, of which only what is written needs memory; stock SB3 writes
all of it to the disk each time). Beside the DQN's: how long copying the new transitions takes, and nothing else::

    python zoo_scripts/benchmark_checkpoints.py
    python zoo_scripts/benchmark_checkpoints.py --buffer-size 100000 --saves 3
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.callbacks import RunCheckpointCallback

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--saves", type=int, default=10, help="checkpoints of each kind in a training")
parser.add_argument("--stock-saves", type=int, default=2, help="those of stock SB3 with the images")
parser.add_argument("--buffer-size", type=int, default=1_000_000, help="transitions in the replay buffer of images")
parser.add_argument("--new-transitions", type=int, default=10_000, help="transitions between two checkpoints")
parser.add_argument("--directory", type=Path, help="where the checkpoints go; default: a temporary directory")


class ImageEnv(gym.Env[np.ndarray, int]):
    """Random images, as fast as possible."""

    observation_space = spaces.Box(0, 255, (1, 84, 84), np.uint8)
    action_space = spaces.Discrete(4)

    def __init__(self) -> None:
        self._images = np.random.default_rng(0).integers(256, size=(64, 1, 84, 84), dtype=np.uint8)
        self._step = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode of 500 steps."""
        super().reset(seed=seed)
        return self._images[0], {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Show the next image."""
        self._step += 1
        return self._images[self._step % 64], 1.0, self._step % 500 == 0, False, {}


class Clock:
    """Keeps how long each call of a function took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """:return: the same function, timed"""

        @wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds.append(time.perf_counter() - start)

        return timed


class CopyCallback(BaseCallback):
    """
    Copies the rows that were added, as a measure.

    :param every_steps: how often
    """

    def __init__(self, every_steps: int) -> None:
        super().__init__()
        self.clock = Clock()
        self._every_steps = every_steps
        self._copy = self.clock.wrap(lambda rings, rows: [ring[rows].copy() for ring in rings])

    def _on_step(self) -> bool:
        if self.num_timesteps % self._every_steps == 0:
            buffer: Any = self.locals["replay_buffer"]
            stop = self.num_timesteps // buffer.n_envs
            rows = slice(stop - self._every_steps // buffer.n_envs, stop)
            names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
            self._copy([getattr(buffer, name) for name in names], rows)
        return True


class SpacedCheckpointCallback(CheckpointCallback):
    """Stock, halfway between two of ours, and only so many times."""

    def __init__(self, every_calls: int, most: int, directory: Path) -> None:
        super().__init__(every_calls, str(directory), save_replay_buffer=True, save_vecnormalize=True)
        self.clock = Clock()
        self._left, self._directory = most, directory

    def _on_step(self) -> bool:
        is_due = self._left > 0 and (self.n_calls + self.save_freq // 2) % self.save_freq == 0
        if not is_due:
            return True
        self._left -= 1
        self.n_calls, calls = self.save_freq, self.n_calls
        self.clock.wrap(super()._on_step)()
        self.n_calls = calls
        for path in self._directory.iterdir():
            path.unlink()
        return True


def measure(
    model: BaseAlgorithm, every_steps: int, options: argparse.Namespace, stock_saves: int, directory: Path
) -> dict[str, list[float]]:
    """:return: seconds for which training stood still for each save, by who saved"""
    assert model.env is not None
    ours = RunCheckpointCallback(directory / "ours", every_steps)
    clock = Clock()
    ours._save = clock.wrap(ours._save)  # type: ignore[method-assign]
    stock = SpacedCheckpointCallback(every_steps // model.env.num_envs, stock_saves, directory / "stock")
    callbacks: list[BaseCallback] = [stock, ours]
    copying = CopyCallback(every_steps)
    if hasattr(model, "replay_buffer"):
        callbacks.insert(0, copying)
    model.learn(every_steps * options.saves, callback=callbacks)
    during = list(clock.seconds)
    ours.finish()
    ours.close()
    return {"sb3_ext": during, "stock": stock.clock.seconds, "copying alone": copying.clock.seconds}


def report(title: str, seconds: dict[str, list[float]]) -> None:
    """Print medians, and their ratios to ours."""
    print(title)
    own = median(seconds["sb3_ext"])
    for name, values in seconds.items():
        if values:
            middle, most = median(values), max(values)
            print(
                f"  {name:14} median {middle * 1e3:9.2f} ms, most {most * 1e3:9.2f} ms, {middle / own:8.2f} x sb3_ext"
            )


def main() -> None:
    """Measure both trainings, one after the other."""
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.directory) as temporary:
        directory = Path(temporary)
        env = VecNormalize(make_vec_env("CartPole-v1", 8, seed=1))
        ppo = PPO("MlpPolicy", env, n_steps=32, batch_size=256, seed=1, device="cpu")
        report("PPO, CartPole", measure(ppo, 4096, options, options.saves, directory / "ppo"))
        starts = options.new_transitions * options.saves  # random actions: the buffer fills faster
        dqn = DQN("CnnPolicy", ImageEnv(), buffer_size=options.buffer_size, learning_starts=starts, device="cpu")
        title = f"DQN, {options.buffer_size} transitions of 84 x 84, {options.new_transitions} of them new"
        report(title, measure(dqn, options.new_transitions, options, options.stock_saves, directory / "dqn"))


if __name__ == "__main__":
    main()
