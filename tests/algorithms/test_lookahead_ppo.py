"""PPO and MaskablePPO that learn games from the values of all moves."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_ext.algorithms.lookahead_buffers import LookaheadRolloutBuffer, MaskableLookaheadRolloutBuffer
from sb3_ext.algorithms.lookahead_ppo import LookaheadMaskablePPO, LookaheadPPO, compute_losses
from sb3_ext.callbacks import LookaheadCallback
from sb3_ext.errors import Sb3ExtError
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent

SMALL = {"rows": 3, "cols": 4, "in_a_row": 3}
GAMMA, LAMBDA, STEPS, BOARDS, MIRRORS, TEMPERATURE = 0.9, 0.8, 30, 5, 2, 0.5
ARGUMENTS: dict[str, Any] = {"gamma": GAMMA, "gae_lambda": LAMBDA, "n_envs": BOARDS, "device": "cpu"}
PAIRS = [(LookaheadPPO, PPO), (LookaheadMaskablePPO, MaskablePPO)]


def make_env(num_boards: int = 8, num_mirrors: int = 4) -> SelfPlayVecEnv:
    game, opponent = make_game("connect4", num_boards, SMALL), make_opponent("random", seed=0)
    return SelfPlayVecEnv(game, opponent, illegal_move="random_legal", num_mirrors=num_mirrors, seed=0)


def make_model(
    algorithm: type[Any] = LookaheadMaskablePPO, env: Any = None, *, num_mirrors: int = 4, **arguments: Any
) -> Any:
    defaults = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "policy_kwargs": {"net_arch": [16]}, "seed": 0}
    arguments = {**defaults, "rollout_buffer_kwargs": {"num_mirrors": num_mirrors}, **arguments}
    return algorithm("MlpPolicy", env or make_env(), device="cpu", **arguments)


def fill(buffer: LookaheadRolloutBuffer) -> None:
    """Make random games with random values of the moves, two of which are illegal at each step."""
    generator, starts = np.random.default_rng(0), np.ones(BOARDS, dtype=bool)
    for _ in range(STEPS):
        values = generator.normal(size=(BOARDS, 7)).astype(np.float32)
        np.put_along_axis(values, generator.permuted(np.tile(np.arange(7), (BOARDS, 1)), axis=1)[:, :2], -np.inf, 1)
        buffer.set_move_values(values)
        ends = generator.random(BOARDS) < 0.2
        arrays = (
            generator.integers(0, 2, (BOARDS, 2, 6, 7), dtype=np.int8),
            generator.integers(0, 7, BOARDS),
            np.where(ends, generator.integers(-1, 2, BOARDS), 0),
            starts,
        )
        found, log_probs = torch.tensor(generator.normal(size=(2, BOARDS)), dtype=torch.float32)
        masks = {"action_masks": np.isfinite(values)} if isinstance(buffer, MaskableLookaheadRolloutBuffer) else {}
        buffer.add(*arrays, found, log_probs, **masks)
        starts = ends
    buffer.compute_returns_and_advantage(torch.linspace(-1, 1, BOARDS), np.arange(BOARDS) % 2 == 0)


def reckon_returns(buffer: LookaheadRolloutBuffer, board: int, last_value: float, ended: bool) -> list[float]:
    is_mirror = board < MIRRORS
    lambda_, gamma = (math.sqrt(LAMBDA), -math.sqrt(GAMMA)) if is_mirror else (LAMBDA, GAMMA)
    returns: list[float] = []
    later, is_over = last_value, ended
    for step in reversed(range(STEPS)):
        played = float(buffer.rewards[step, board]) + (0.0 if is_over else gamma * later)
        later = (1 - lambda_) * max(buffer.move_values[step, board].tolist()) + lambda_ * played
        returns.append(later)
        is_over = bool(buffer.episode_starts[step, board])
    return returns[::-1]


@pytest.mark.parametrize("buffer_class", [LookaheadRolloutBuffer, MaskableLookaheadRolloutBuffer])
def test_values_learn_the_best_move_and_what_happened_later(buffer_class: type[LookaheadRolloutBuffer]) -> None:
    space = spaces.Box(0, 1, (2, 6, 7), np.int8)
    buffer = buffer_class(STEPS, space, spaces.Discrete(7), num_mirrors=MIRRORS, temperature=TEMPERATURE, **ARGUMENTS)
    fill(buffer)
    for board in range(BOARDS):
        expected = reckon_returns(buffer, board, np.linspace(-1, 1, BOARDS)[board], board % 2 == 0)
        np.testing.assert_allclose(buffer.returns[:, board], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.advantages, buffer.returns - buffer.values)


def test_the_policy_learns_the_softmax_of_move_values_and_its_mirror_image() -> None:
    space, columns = spaces.Box(0, 1, (2, 6, 7), np.int8), spaces.Discrete(7)
    cells = np.arange(84).reshape(2, 6, 7)[..., ::-1].ravel().tolist()
    for reflection in (None, [cells, list(range(7))[::-1]]):
        buffer = MaskableLookaheadRolloutBuffer(
            STEPS, space, columns, temperature=TEMPERATURE, reflection=reflection, **ARGUMENTS
        )
        fill(buffer)
        expected = {}
        for step in range(STEPS):
            for board in range(BOARDS):
                weights = np.exp(buffer.move_values[step, board] / TEMPERATURE)
                expected[buffer.observations[step, board].tobytes()] = weights / weights.sum()
        mirrored = 0
        np.random.seed(0)
        for batch in buffer.get(50):
            for planes, target, mask in zip(
                *map(np.asarray, batch[:1]), batch.move_targets, batch.action_masks, strict=True
            ):
                is_mirrored = planes.tobytes() not in expected
                mirrored += is_mirrored
                found = planes[..., ::-1].copy() if is_mirrored else planes
                chances = expected[found.tobytes()][:: -1 if is_mirrored else 1]
                np.testing.assert_allclose(target, chances, atol=1e-6)
                assert ((target == 0) == (mask == 0)).all()
        assert (mirrored > 0) == (reflection is not None)


def test_a_rollout_has_the_values_of_all_moves_by_the_value_network() -> None:
    model = make_model(n_steps=8)
    seen: list[tuple[Any, Any]] = []
    step = model.env.unwrapped.step_wait

    def step_and_note() -> Any:
        game = model.env.unwrapped.game
        seen.append((game.branch(np.arange(8)), game.find_legal(np.arange(8))))
        return step()

    model.env.unwrapped.step_wait = step_and_note
    model.train = lambda: None
    model.learn(8 * 8, callback=LookaheadCallback())
    assert len(seen) == 8
    for (game, legal), found in zip(seen, model.rollout_buffer.move_values, strict=True):
        for board in range(8):
            for column in range(4):
                if not legal[board, column]:
                    assert found[board, column] == -np.inf
                    continue
                child = game.branch(np.array([board]))
                mover = child.movers[0]
                rewards, ends = child.play(np.zeros(1, int), np.array([column]))
                expected = float(rewards[0, mover])
                if not ends[0]:
                    observation = torch.as_tensor(child.observe(np.zeros(1, int), child.movers))
                    with torch.no_grad():
                        expected -= math.sqrt(model.gamma) * model.policy.predict_values(observation).item()
                assert found[board, column] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("algorithm", [LookaheadPPO, LookaheadMaskablePPO])
def test_an_update_moves_policy_and_values_to_their_targets(algorithm: type[Any]) -> None:
    model = make_model(algorithm, n_epochs=150, learning_rate=1e-2, policy_kwargs={"net_arch": [64]})
    model.learn(8 * 16, callback=LookaheadCallback())
    batch = model.rollout_buffer._get_samples(np.arange(8 * 16))
    with torch.no_grad():
        policy_loss, value_loss, _ = compute_losses(model.policy, batch)
    targets, returns = batch.move_targets.numpy(), batch.returns.numpy()
    entropy = -(targets * np.log(np.maximum(targets, 1e-30))).sum(axis=1).mean()
    assert policy_loss - entropy < 0.03
    # A position has several returns: no network learns them all.
    _, places = np.unique(batch.observations.numpy().reshape(8 * 16, -1), axis=0, return_inverse=True)
    means = np.bincount(places, returns) / np.bincount(places)
    assert value_loss - np.mean((returns - means[places]) ** 2) < 0.03
    assert model._n_updates == 150


def test_a_small_game_is_learned_in_seconds() -> None:
    from sb3_ext.selfplay.positions.position_draw import provide_positions
    from sb3_ext.selfplay.positions.position_exam import PositionExam
    from sb3_ext.selfplay.seats.start_positions import StartShares
    from sb3_ext.selfplay.solvers.solver_choice import choose_solver

    torch.manual_seed(0)
    small = {"rows": 3, "cols": 3, "in_a_row": 3}
    game = make_game("connect4", 64, small)
    starts = StartShares(random=0.8)
    env = SelfPlayVecEnv(game, make_opponent("random", seed=0), start_shares=starts, num_mirrors=64, seed=0)
    arguments = {"n_steps": 8, "batch_size": 64, "n_epochs": 4, "learning_rate": 5e-3}
    model = make_model(env=env, num_mirrors=64, policy_kwargs={"net_arch": [64]}, **arguments)
    exam = PositionExam(provide_positions(game, choose_solver(game), 1, 0), game)
    before = exam.measure(model.policy).total.overall
    model.learn(20_000, callback=LookaheadCallback())
    after = exam.measure(model.policy).total.overall
    assert before < 0.8
    assert after > 0.9


@pytest.mark.parametrize(("ours", "stock"), PAIRS)
def test_stock_classes_open_its_files(ours: type[Any], stock: type[Any], tmp_path: Path) -> None:
    model = make_model(ours)
    model.learn(8 * 16, callback=LookaheadCallback())
    model.save(tmp_path / "model.zip")
    observations = make_env().reset()
    expected, _ = model.predict(observations, deterministic=True)
    found, _ = stock.load(tmp_path / "model.zip", device="cpu").predict(observations, deterministic=True)
    np.testing.assert_array_equal(found, expected)


def test_stock_sb3_opens_its_files_without_this_package(tmp_path: Path) -> None:
    model = make_model()
    model.learn(8 * 16, callback=LookaheadCallback())
    model.save(tmp_path / "model.zip")
    code = """
import sys
sys.modules["sb3_ext"] = None
from sb3_contrib import MaskablePPO
model = MaskablePPO.load(sys.argv[1], device="cpu")
print(type(model.policy).__name__)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model.zip")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "MaskableActorCriticPolicy", done.stderr


def test_without_its_callback_training_says_what_to_add() -> None:
    with pytest.raises(ValueError, match=r"move values are missing; train with LookaheadCallback\(\)"):
        make_model().learn(8 * 16)


def test_the_callback_refuses_other_models_and_environments() -> None:
    with pytest.raises(Sb3ExtError, match="expected LookaheadPPO or LookaheadMaskablePPO, found MaskablePPO"):
        MaskablePPO("MlpPolicy", make_env(), device="cpu").learn(1, callback=LookaheadCallback())
    with pytest.raises(Sb3ExtError, match=r"expected rollout_buffer_kwargs=\{'num_mirrors': 4\}.*found 3"):
        make_model(num_mirrors=3).learn(1, callback=LookaheadCallback())
    cart_pole = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    with pytest.raises(Sb3ExtError, match="expected SelfPlayVecEnv, found DummyVecEnv"):
        LookaheadPPO("MlpPolicy", cart_pole, device="cpu").learn(1, callback=LookaheadCallback())


def test_positions_are_normalised_as_in_training() -> None:
    model = make_model(env=VecNormalize(make_env(), norm_reward=False), n_steps=4)
    model.learn(8 * 12, callback=LookaheadCallback())
    model.env.training = False
    seen: list[Any] = []
    callback = LookaheadCallback()
    callback.init_callback(model)
    compute_values = callback._values
    callback._values = lambda observations: seen.append(observations) or compute_values(observations)
    model.env.step(np.zeros(8, int))
    assert np.concatenate(seen).min() < -0.1  # plain positions are 0 and 1


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_the_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        LookaheadRolloutBuffer(1, spaces.Box(0, 1, (2,)), spaces.Discrete(2), temperature=temperature)
