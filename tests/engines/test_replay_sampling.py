"""Rows of a replay buffer for several minibatches are those that SB3 draws one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from parity import RandomEnv
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_ext.engines.replay_sampling import draw_rows, has_stock_samples, read_rows
from sb3_ext.internals.sb3 import sample_replay

VECTOR = spaces.Box(-1, 1, (3,), np.float64)
DICT = spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Discrete(3)})


@pytest.mark.parametrize(
    ("space", "buffer", "normalizes"),
    [
        (VECTOR, {}, False),
        (VECTOR, {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}, True),
        (DICT, {}, False),
    ],
)
@pytest.mark.parametrize("steps", [20, 100])  # before and after the buffer is full
def test_the_rows_are_those_of_single_samples(
    space: spaces.Space[Any], buffer: dict[str, Any], normalizes: bool, steps: int
) -> None:
    env: Any = DummyVecEnv([lambda: RandomEnv(space, spaces.Discrete(3))] * 2)
    env = VecNormalize(env) if normalizes else env
    policy = "MultiInputPolicy" if space is DICT else "MlpPolicy"
    model = DQN(policy, env, seed=0, buffer_size=60, learning_starts=1000, policy_kwargs={"net_arch": [4]}, **buffer)
    model.learn(steps)
    np.random.seed(2)
    singles = [sample_replay(model, 5)._asdict() for _sample in range(3)]
    drawn = np.random.random()
    np.random.seed(2)
    rows = draw_rows(model.replay_buffer, 3, 5)
    assert np.random.random() == drawn
    assert has_stock_samples(model.replay_buffer)
    found = read_rows(model.replay_buffer, model.get_vec_normalize_env(), rows)
    for name, values in found.items():
        for place, sample in enumerate(singles):
            parts = values if isinstance(values, dict) else {"": values}
            wanted = sample[name] if isinstance(values, dict) else {"": sample[name]}
            for key, part in parts.items():
                np.testing.assert_array_equal(part[place], wanted[key], name)
                assert part.dtype == wanted[key].numpy().dtype


def test_returns_of_several_steps_are_left_to_the_buffer() -> None:
    env = DummyVecEnv([lambda: RandomEnv(VECTOR, spaces.Discrete(3))])
    assert not has_stock_samples(NStepReplayBuffer(10, VECTOR, spaces.Discrete(3), n_envs=env.num_envs))
