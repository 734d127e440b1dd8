from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.checkpoints.bundle.bundle import write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content
from sb3_ext.errors import CheckpointError, SelfPlayError
from sb3_ext.selfplay.frozen_opponent import freeze_model, load_opponent
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.opponents.opponent_registry import make_opponent
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent, choose_moves
from sb3_ext.selfplay.opponents.policy_scores import make_scores
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

BOARDS = np.arange(64)
SMALL = {"policy_kwargs": {"net_arch": [8]}, "device": "cpu", "seed": 0}


@pytest.fixture
def make_model(make_toy: Any, make_player: Any) -> Any:
    def make(algorithm: Any, *, has_masks: bool = False, **arguments: Any) -> Any:
        env = SelfPlayVecEnv(make_toy(2), make_player(), masks_in_observation=has_masks, illegal_move="random_legal")
        if algorithm in (DQN, QRDQN):
            arguments["buffer_size"] = 64
        return algorithm("MultiInputPolicy" if has_masks else "MlpPolicy", env, **SMALL, **arguments)

    return make


@pytest.fixture
def game(make_toy: Any) -> Any:
    """Boards with one stone each, on various cells."""
    game = make_toy(64)
    game.play(BOARDS, BOARDS % 9)
    return game


@pytest.mark.parametrize("has_masks", [False, True])
@pytest.mark.parametrize("algorithm", [PPO, A2C, MaskablePPO, DQN, QRDQN])
def test_every_kind_of_policy_plays_legal_moves(algorithm: Any, has_masks: bool, make_model: Any, game: Any) -> None:
    opponent = freeze_model(make_model(algorithm, has_masks=has_masks), seed=0)
    legal = game.find_legal(BOARDS)
    for _ in range(5):
        assert legal[BOARDS, opponent.act(game, BOARDS)].all()


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_it_samples_from_the_policy_s_distribution_over_legal_moves(
    algorithm: Any, make_model: Any, make_toy: Any
) -> None:
    model, game = make_model(algorithm), make_toy(1)
    boards = np.zeros(1, dtype=int)
    game.play(boards, np.array([4]))
    with torch.no_grad():
        observation = torch.as_tensor(game.observe(boards, np.array([1])))
        probabilities = model.policy.get_distribution(observation).distribution.probs.numpy()[0]
    probabilities[4] = 0.0
    opponent = freeze_model(model, seed=0)
    many = game.branch(np.zeros(20_000, dtype=int))
    actions = opponent.act(many, np.arange(20_000))
    assert np.bincount(actions, minlength=9) / 20_000 == pytest.approx(probabilities / probabilities.sum(), abs=0.02)


@pytest.mark.parametrize(
    ("algorithm", "has_masks"),
    [*((kind, masks) for kind in (PPO, DQN, QRDQN) for masks in (False, True)), (MaskedDQN, True), (MaskedQRDQN, True)],
)
@pytest.mark.parametrize("is_convolutional", [False, True])
def test_its_scores_are_those_of_the_policy(algorithm: Any, has_masks: bool, is_convolutional: bool) -> None:
    game = Connect4(32)
    for column in (3, 3, 3, 3, 3, 3, 0):  # the column in the middle is full
        game.play(BOARDS[:32], np.full(32, column))
    game.play(BOARDS[:16], np.full(16, 1))
    env = SelfPlayVecEnv(game, make_opponent("random"), masks_in_observation=has_masks, illegal_move="random_legal")
    network = {"features_extractor_class": BoardCNN} if is_convolutional else {}
    model = algorithm(
        "MultiInputPolicy" if has_masks else "MlpPolicy", env, device="cpu", seed=0, policy_kwargs=network
    )
    legal = game.find_legal(BOARDS[:32])
    observations: Any = game.observe(BOARDS[:32], game.movers)
    if has_masks:
        observations = {"action_mask": legal.astype(np.int8), "observation": observations}
    with torch.no_grad():
        found, tensor = make_scores(model.policy)(observations), model.policy.obs_to_tensor(observations)[0]
        if algorithm is PPO:
            found = found.log_softmax(dim=1)
            expected = model.policy.get_distribution(tensor).distribution.logits
        elif algorithm in (DQN, MaskedDQN):
            expected = model.policy.q_net(tensor)
        else:
            expected = model.policy.quantile_net(tensor).mean(dim=1)
    assert found.numpy()[legal] == pytest.approx(expected.numpy()[legal], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    "network",
    [{}, {"features_extractor_class": BoardCNN, "features_extractor_kwargs": {"channels": [8], "features_dim": 16}}],
)
def test_policies_with_one_generator_choose_together_what_they_choose_alone(network: dict[str, Any]) -> None:
    game, sizes = Connect4(12), [7, 1, 4]
    env = SelfPlayVecEnv(game, make_opponent("random"), illegal_move="random_legal")
    policies = [PPO("MlpPolicy", env, device="cpu", seed=seed, policy_kwargs=network).policy for seed in range(3)]

    def choose(are_alike: bool) -> np.ndarray:
        generator = np.random.default_rng(2)
        opponents = [PolicyOpponent(policy, "a", generator) for policy in policies]
        assert opponents[0].kind == opponents[1].kind is not None
        if not are_alike:
            opponents[2] = PolicyOpponent(policies[2], "a", generator, normalize=lambda observations: observations)
            assert opponents[2].kind is None
        boards = BOARDS[:12]
        return choose_moves(opponents, game.observe(boards, game.movers), game.find_legal(boards), sizes)

    np.testing.assert_array_equal(choose(are_alike=True), choose(are_alike=False))


def test_a_policy_with_a_distribution_of_its_own_is_asked_for_it(make_toy: Any, make_player: Any) -> None:
    class Stubborn(ActorCriticPolicy):
        def get_distribution(self, obs: Any) -> Any:
            found = super().get_distribution(obs)
            found.distribution = torch.distributions.Categorical(logits=torch.eye(9)[[7]].repeat(len(obs), 1))
            return found

    game = make_toy(64)
    model = PPO(Stubborn, SelfPlayVecEnv(game, make_player()), **SMALL)
    assert (freeze_model(model, deterministic=True).act(game, BOARDS) == 7).all()


@pytest.mark.parametrize("algorithm", [PPO, DQN, QRDQN])
def test_deterministic_is_what_predict_gives(algorithm: Any, make_model: Any, make_toy: Any) -> None:
    model, game = make_model(algorithm), make_toy(64)
    opponent = freeze_model(model, deterministic=True)
    expected, _ = model.predict(game.observe(BOARDS, np.zeros(64, dtype=int)), deterministic=True)
    assert (opponent.act(game, BOARDS) == expected).all()


def test_action_values_are_explored_a_little(make_model: Any, make_toy: Any) -> None:
    game = make_toy(2000)
    boards = np.arange(2000)
    actions = freeze_model(make_model(DQN), seed=0).act(game, boards)
    best = np.bincount(actions).argmax()
    assert 0.02 < (actions != best).mean() < 0.09


def test_a_frozen_policy_does_not_learn_and_a_live_one_does(make_model: Any) -> None:
    model = make_model(PPO, n_steps=8, batch_size=8)
    frozen, live = freeze_model(model), PolicyOpponent(model.policy, "self")
    before = {name: value.clone() for name, value in frozen.policy.state_dict().items()}
    model.learn(16)
    assert all(torch.equal(before[name], value) for name, value in frozen.policy.state_dict().items())
    assert any(not torch.equal(before[name], value) for name, value in live.policy.state_dict().items())
    assert not any(parameter.requires_grad for parameter in frozen.policy.parameters())


def test_it_leaves_the_random_numbers_and_the_mode_of_training_alone(make_model: Any, game: Any) -> None:
    model = make_model(PPO)
    model.policy.set_training_mode(True)
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
    PolicyOpponent(model.policy, "self").act(game, BOARDS)
    freeze_model(model).act(game, BOARDS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state(legacy=False)["state"]["key"] == before[1]).all()
    assert model.policy.training


def test_its_random_moves_are_repeated_from_its_state(make_model: Any, game: Any) -> None:
    opponent = freeze_model(make_model(PPO), seed=0)
    state = opponent.state_dict()
    first = opponent.act(game, BOARDS)
    assert (opponent.act(game, BOARDS) != first).any()
    opponent.load_state_dict(state)
    assert (opponent.act(game, BOARDS) == first).all()


@pytest.mark.parametrize("has_masks", [False, True])
def test_it_brings_its_statistics_of_observations(
    has_masks: bool, make_toy: Any, make_player: Any, game: Any, tmp_path: Path
) -> None:
    env = SelfPlayVecEnv(make_toy(2), make_player(), masks_in_observation=has_masks, illegal_move="random_legal")
    keys = ["observation"] if has_masks else None
    normalize = VecNormalize(env, norm_obs_keys=keys)
    model = PPO("MultiInputPolicy" if has_masks else "MlpPolicy", normalize, n_steps=16, batch_size=8, **SMALL).learn(
        32
    )
    frozen = freeze_model(model, deterministic=True)
    write_bundle(tmp_path / "step_000000032", capture_content(model))
    loaded = load_opponent(tmp_path / "step_000000032", game, deterministic=True)
    raw: Any = game.observe(BOARDS, game.movers)
    legal = game.find_legal(BOARDS)
    if has_masks:
        raw = {"action_mask": legal.astype(np.int8), "observation": raw}
    with torch.no_grad():
        tensor, _ = model.policy.obs_to_tensor(normalize.normalize_obs(raw))
        logits = model.policy.get_distribution(tensor).distribution.logits.numpy()
    expected = np.where(legal, logits, -np.inf).argmax(axis=1)
    assert (frozen.act(game, BOARDS) == expected).all()
    assert (loaded.act(game, BOARDS) == expected).all()


@pytest.mark.parametrize("has_masks", [False, True])
@pytest.mark.parametrize(("algorithm", "name"), [(PPO, "ppo"), (MaskablePPO, "maskable_ppo"), (DQN, "dqn")])
def test_a_plain_zip_and_a_checkpoint_play_the_same(
    algorithm: Any, name: str, has_masks: bool, make_model: Any, game: Any, tmp_path: Path
) -> None:
    model = make_model(algorithm, has_masks=has_masks)
    model.save(tmp_path / "untrusted.zip")
    write_bundle(tmp_path / "step_000000000", capture_content(model))
    expected = freeze_model(model, deterministic=True).act(game, BOARDS)
    zipped = load_opponent(tmp_path / "untrusted.zip", game, algorithm=name, deterministic=True)
    # A checkpoint says itself what it is, whatever else it is said to be.
    bundled = load_opponent(tmp_path / "step_000000000", game, algorithm="a2c", deterministic=True)
    assert (zipped.name, bundled.name) == ("untrusted", "step_000000000")
    assert (zipped.act(game, BOARDS) == expected).all()
    assert (bundled.act(game, BOARDS) == expected).all()


def test_no_code_of_an_untrusted_file_is_run(make_model: Any, game: Any, tmp_path: Path) -> None:
    model = make_model(PPO)
    model.lr_schedule = Bomb(tmp_path / "boom")
    model.save(tmp_path / "bomb.zip")
    load_opponent(tmp_path / "bomb.zip", game, algorithm="ppo")
    assert not (tmp_path / "boom").exists()


class Bomb:
    """
    Leaves a file where it is unpickled.

    :param path: of the file
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, _progress: float) -> float:
        return 1e-3

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_the_policy_of_another_game_is_refused(make_model: Any, make_toy: Any, tmp_path: Path) -> None:
    from gymnasium import spaces

    write_bundle(tmp_path / "step_000000000", capture_content(make_model(PPO)))
    other = make_toy(1)
    other.id = "chess"
    other.observation_space = spaces.Box(0.0, 1.0, (64,), np.float32)
    with pytest.raises(SelfPlayError, match=r"was trained on observations Box.*\(18,\).*but chess has Box.*\(64,\)"):
        load_opponent(tmp_path / "step_000000000", other)
    other = make_toy(1)
    other.action_space = spaces.Discrete(7)
    with pytest.raises(SelfPlayError, match=r"was trained on actions Discrete\(9\), but toy has Discrete\(7\)"):
        load_opponent(tmp_path / "step_000000000", other)
    with pytest.raises(CheckpointError):
        load_opponent(tmp_path / "nowhere.zip", other, algorithm="ppo")


def test_policies_that_cannot_be_seated() -> None:
    for model in (
        SAC("MlpPolicy", "Pendulum-v1", buffer_size=8, **SMALL),
        RecurrentPPO("MlpLstmPolicy", "CartPole-v1"),
    ):
        with pytest.raises(SelfPlayError, match="cannot be an opponent"):
            freeze_model(model)
