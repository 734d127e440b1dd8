"""MaskablePPO on an environment of the script's own, with a dictionary of observations and a learning rate schedule."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

SIZE = 5


class Grid(gym.Env):
    """Walk to a goal; moves into a wall are masked."""

    observation_space = spaces.Dict({"place": spaces.MultiDiscrete([SIZE, SIZE]), "goal": spaces.Discrete(SIZE * SIZE)})
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.integers(SIZE, size=2)
        self.goal = self.np_random.integers(SIZE, size=2)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.place = self.place + np.array([(0, 1), (0, -1), (1, 0), (-1, 0)][action])
        self.steps += 1
        arrived = bool((self.place == self.goal).all())
        return self.observe(), float(arrived) - 0.01, arrived, self.steps == 30, {}

    def observe(self):
        return {"place": self.place, "goal": int(SIZE * self.goal[0] + self.goal[1])}

    def action_masks(self):
        (row, column), end = self.place, SIZE - 1
        return np.array([column < end, column > 0, row < end, row > 0])


env = VecMonitor(DummyVecEnv([Grid for _ in range(3)]))
model = MaskablePPO(
    "MultiInputPolicy", env, n_steps=64, n_epochs=2, learning_rate=lambda left: 1e-3 * left, seed=7, device="cpu"
)
model.learn(7_680)
model.save("agent")
