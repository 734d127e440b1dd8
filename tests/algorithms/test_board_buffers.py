"""Discounts of mirror boards, and mirror images of positions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.buffers import DictReplayBuffer, RolloutBuffer

from sb3_ext.algorithms.board_buffers import BoardReplayBuffer, BoardRolloutBuffer, MaskableBoardRolloutBuffer
from sb3_ext.selfplay import make_game

PLANES, COLUMNS = spaces.Box(0, 1, (2, 6, 7), np.int8), spaces.Discrete(7)
GAMMA, LAMBDA, STEPS, BOARDS, MIRRORS = 0.9, 0.8, 30, 5, 2


def fill_rollout(buffer: RolloutBuffer, seed: int = 0) -> None:
    """Make random games with rewards only at the end."""
    generator = np.random.default_rng(seed)
    starts = np.ones(BOARDS, dtype=bool)
    for _ in range(STEPS):
        ends = generator.random(BOARDS) < 0.2
        arrays = (
            generator.integers(0, 2, (BOARDS, 2, 6, 7), dtype=np.int8),
            generator.integers(0, 7, BOARDS),
            np.where(ends, generator.integers(-1, 2, BOARDS), 0),
            starts,
        )
        values, log_probs = torch.tensor(generator.normal(size=(2, BOARDS)), dtype=torch.float32)
        masks = {"action_masks": np.ones((BOARDS, 7))} if isinstance(buffer, MaskableRolloutBuffer) else {}
        buffer.add(*arrays, values, log_probs, **masks)
        starts = ends
    buffer.compute_returns_and_advantage(torch.tensor(generator.normal(size=BOARDS)).float(), starts)


def reckon_negamax_returns(buffer: RolloutBuffer, board: int, last_value: float, ended: bool) -> list[float]:
    """Compute the λ-return of the player to move: the reward minus the discounted value for the other player."""
    gamma, lambda_ = math.sqrt(GAMMA), math.sqrt(LAMBDA)
    returns: list[float] = []
    following, is_over, next_value = last_value, ended, last_value
    for step in reversed(range(STEPS)):
        expected = 0.0 if is_over else (1 - lambda_) * next_value + lambda_ * following
        following = float(buffer.rewards[step, board]) - gamma * expected
        returns.append(following)
        next_value, is_over = float(buffer.values[step, board]), bool(buffer.episode_starts[step, board])
    return returns[::-1]


@pytest.mark.parametrize("buffer_class", [BoardRolloutBuffer, MaskableBoardRolloutBuffer])
def test_mirror_boards_get_the_returns_of_the_negamax_recursion(buffer_class: type[BoardRolloutBuffer]) -> None:
    arguments = {"gamma": GAMMA, "gae_lambda": LAMBDA, "n_envs": BOARDS, "device": "cpu"}
    buffer = buffer_class(STEPS, PLANES, COLUMNS, num_mirrors=MIRRORS, **arguments)
    last_values, ends = torch.linspace(-1, 1, BOARDS), np.arange(BOARDS) % 2 == 0
    fill_rollout(buffer)
    buffer.compute_returns_and_advantage(last_values, ends)
    for board in range(MIRRORS):
        expected = reckon_negamax_returns(buffer, board, float(last_values[board]), bool(ends[board]))
        np.testing.assert_allclose(buffer.returns[:, board], expected, rtol=1e-4, atol=1e-5)


def test_boards_with_an_opponent_get_the_returns_of_stock_sb3() -> None:
    arguments = {"gamma": GAMMA, "gae_lambda": LAMBDA, "n_envs": BOARDS, "device": "cpu"}
    stock, ours = (
        RolloutBuffer(STEPS, PLANES, COLUMNS, **arguments),
        BoardRolloutBuffer(STEPS, PLANES, COLUMNS, num_mirrors=MIRRORS, **arguments),
    )
    fill_rollout(stock)
    fill_rollout(ours)
    np.testing.assert_allclose(stock.returns[:, MIRRORS:], ours.returns[:, MIRRORS:], rtol=1e-5, atol=1e-6)
    assert not np.allclose(stock.returns[:, :MIRRORS], ours.returns[:, :MIRRORS])


def make_replay(**arguments: object) -> BoardReplayBuffer:
    space = spaces.Dict({"action_mask": spaces.Box(0, 1, (7,), np.int8), "observation": PLANES})
    buffer = BoardReplayBuffer(400, space, COLUMNS, device="cpu", n_envs=4, **arguments)  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    for _ in range(buffer.buffer_size):
        # A column says by itself where it is: mask, stones and action agree.
        columns = generator.integers(0, 7, 4)
        seen = {"action_mask": np.eye(7)[columns], "observation": np.zeros((4, 2, 6, 7), np.int8)}
        seen["observation"][np.arange(4), 0, 5, columns] = 1
        buffer.add(seen, seen, columns[:, None], np.arange(4.0), np.zeros(4), [{}] * 4)
    return buffer


def test_a_replayed_transition_has_the_discount_of_its_board() -> None:
    samples = make_replay(num_mirrors=3, gamma=0.81).sample(200)
    assert set(samples.rewards.flatten().tolist()) == {0.0, 1.0, 2.0, 3.0}
    expected = torch.where(samples.rewards < 3, -0.9, 0.81)
    torch.testing.assert_close(samples.discounts, expected)


def test_replayed_transitions_equal_those_of_stock_sb3() -> None:
    buffer, rows = make_replay(num_mirrors=1), np.arange(100)
    np.random.seed(3)
    ours, after = buffer._get_samples(rows), np.random.random()
    np.random.seed(3)
    stock, stock_after = DictReplayBuffer._get_samples(buffer, rows), np.random.random()
    assert torch.equal(ours.actions, stock.actions)
    assert torch.equal(ours.rewards, stock.rewards)
    assert after == stock_after


def test_half_of_the_replayed_transitions_are_reflected_completely() -> None:
    reflection = make_game("connect4", 1, {}).find_reflection()  # type: ignore[attr-defined]
    buffer = make_replay(reflection=[list(places) for places in reflection])
    np.random.seed(3)
    plain = DictReplayBuffer._get_samples(buffer, np.arange(100))
    np.random.seed(3)
    shown = buffer._get_samples(np.arange(100))
    for seen in (shown.observations, shown.next_observations):
        assert torch.equal(seen["observation"][:, 0, 5].argmax(dim=1), shown.actions.flatten())
        assert torch.equal(seen["action_mask"].argmax(dim=1), shown.actions.flatten())
    is_mirrored = shown.actions != plain.actions
    assert torch.equal(shown.actions[is_mirrored], 6 - plain.actions[is_mirrored])
    assert 0.3 < is_mirrored.float().mean() < 0.55  # the middle column is its own image


def test_half_of_a_rollout_is_reflected() -> None:
    reflection = [list(places) for places in make_game("connect4", 1, {}).find_reflection()]  # type: ignore[attr-defined]
    buffer = MaskableBoardRolloutBuffer(STEPS, PLANES, COLUMNS, device="cpu", n_envs=BOARDS, reflection=reflection)
    fill_rollout(buffer)
    next(buffer.get(10))
    places = np.arange(STEPS * BOARDS)
    plain, shown = MaskableRolloutBuffer._get_samples(buffer, places), buffer._get_samples(places)
    images = plain.observations.flip(-1)
    is_plain = (shown.observations == plain.observations).flatten(1).all(dim=1)
    is_image = (shown.observations == images).flatten(1).all(dim=1)
    assert (is_plain | is_image).all()
    assert 0.3 < is_image.float().mean() < 0.7
    assert torch.equal(shown.actions[is_image], 6 - plain.actions[is_image])
    assert torch.equal(shown.returns, plain.returns)
