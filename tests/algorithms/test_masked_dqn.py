"""DQN and QR-DQN choose, explore and bootstrap among legal moves only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN
from stable_baselines3 import DQN

from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedPolicy, MaskedQRDQN, MaskedQuantilePolicy
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent

SMALL = {"rows": 2, "cols": 4, "in_a_row": 3}  # columns are soon full
ALGORITHMS = [MaskedDQN, MaskedQRDQN]


def make_env(num_boards: int = 4) -> SelfPlayVecEnv:
    """Make boards on which an illegal move is an error."""
    game = make_game("connect4", num_boards, SMALL)
    return SelfPlayVecEnv(game, make_opponent("random", seed=0), masks_in_observation=True, seed=0)


def make_model(algorithm: type[Any], **arguments: Any) -> Any:
    defaults = {"seed": 0, "device": "cpu", "learning_starts": 100, "policy_kwargs": {"net_arch": [16]}}
    return algorithm("MultiInputPolicy", make_env(), **defaults, **arguments)


def read_values(model: Any, observations: Any) -> torch.Tensor:
    network = model.policy.q_net if isinstance(model, DQN) else model.policy.quantile_net
    with torch.no_grad():
        values: torch.Tensor = network(model.policy.obs_to_tensor(observations)[0])
    return values if isinstance(model, DQN) else values.mean(dim=1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_all_moves_in_training_are_legal(algorithm: type[Any]) -> None:
    model = make_model(algorithm, exploration_final_eps=0.5)
    model.learn(600)
    assert model._n_updates > 0
    actions, masks = model.replay_buffer.actions[:150], model.replay_buffer.observations["action_mask"][:150]
    assert np.take_along_axis(masks, actions, axis=-1).all()
    assert (masks.sum(axis=-1) < 4).any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_illegal_moves_have_finite_values_below_all_others(algorithm: type[Any]) -> None:
    model = make_model(algorithm)
    observations = model.env.reset()
    observations["action_mask"][:, 1:3] = 0
    values = read_values(model, observations)
    assert torch.isfinite(values).all()
    assert (values[:, 1:3] < -1e6).all()
    assert (values[:, [0, 3]] > -1e3).all()
    chosen, _ = model.predict(observations, deterministic=True)
    assert set(chosen.tolist()) <= {0, 3}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_board_explores_its_legal_moves_uniformly(algorithm: type[Any]) -> None:
    model = make_model(algorithm)
    model.exploration_rate = 0.5
    masks = np.tile(np.array([1, 0, 1, 1], dtype=np.int8), (4000, 1))
    observations = {"action_mask": masks, "observation": np.zeros((4000, 2, 2, 4), dtype=np.int8)}
    best = model.predict(observations, deterministic=True)[0][0]
    chosen, _ = model.predict(observations)
    counts = np.bincount(chosen, minlength=4)
    assert counts[1] == 0
    assert abs(counts[best] / 4000 - (1 / 2 + 1 / 6)) < 0.04
    assert all(abs(counts[action] / 4000 - 1 / 6) < 0.04 for action in {0, 2, 3} - {best})
    single = {key: values[0] for key, values in observations.items()}
    assert model.predict(single)[0].shape == ()


def test_the_target_uses_the_best_legal_move() -> None:
    """With a single transition in the buffer, the value of its action converges to the target."""
    model = make_model(MaskedDQN, learning_rate=1e-2, gamma=0.5, batch_size=8, target_update_interval=10**6)
    first, after = model.env.reset(), model.env.reset()
    after["action_mask"][:, :3] = 0
    model.replay_buffer.add(first, after, np.full(4, 2), np.full(4, 1.0), np.zeros(4), [{}] * 4)
    with torch.no_grad():
        tensor, _ = model.policy.obs_to_tensor(after)
        target = 1 + 0.5 * model.policy.q_net_target(tensor)[:, 3]
    model._logger = make_silent_logger()
    for _ in range(40):
        model.train(10, batch_size=8)
    torch.testing.assert_close(read_values(model, first)[:, 2], target, rtol=0.02, atol=0.02)


def make_silent_logger() -> Any:
    from stable_baselines3.common.logger import Logger

    return Logger(folder=None, output_formats=[])


def test_stock_algorithms_load_a_saved_model_without_this_package(tmp_path: Path) -> None:
    for ours in ALGORITHMS:
        make_model(ours).save(tmp_path / f"{ours.__name__}.zip")
    code = """
import sys, numpy as np
sys.modules["sb3_ext"] = None
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
seen = {"observation": np.zeros((4, 2, 2, 4), np.int8), "action_mask": np.tile(np.eye(4, dtype=np.int8)[0], (4, 1))}
for stock in (DQN, QRDQN):
    model = stock.load(f"{sys.argv[1]}/Masked{stock.__name__}.zip", device="cpu")
    print(model.predict(seen, deterministic=True)[0].tolist())
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "[0, 0, 0, 0]\n" * 2, done.stderr


@pytest.mark.parametrize(
    ("stock", "policy", "ours"), [(DQN, MaskedPolicy, MaskedDQN), (QRDQN, MaskedQuantilePolicy, MaskedQRDQN)]
)
def test_stock_algorithms_take_the_policies(stock: type[Any], policy: type[Any], ours: type[Any]) -> None:
    model = make_model(ours)
    observations = model.env.reset()
    observations["action_mask"][:, 1:] = 0
    as_policy = stock(policy, model.env, device="cpu", policy_kwargs={"net_arch": [16]})
    assert set(as_policy.predict(observations, deterministic=True)[0]) == {0}
