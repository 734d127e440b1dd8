"""A model built from plain values and tensors acts as the saved one did."""

from __future__ import annotations

import copy
import sys
import types
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import ARS, TQC, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import LinearSchedule

from sb3_ext.algorithms.impala import ImpalaCNN
from sb3_ext.checkpoints.bundle.bundle import Bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content
from sb3_ext.checkpoints.model_loading import load_model, restore_weights
from sb3_ext.errors import CheckpointError

VECTOR, IMAGE = spaces.Box(-1, 1, (3,)), spaces.Box(0, 255, (36, 36, 1), np.uint8)
MIXED = spaces.Dict({"picture": IMAGE, "numbers": VECTOR, "kind": spaces.Discrete(3)})
CONTINUOUS, DISCRETE, MANY = spaces.Box(-2, 2, (2,)), spaces.Discrete(3), spaces.MultiDiscrete([2, 3])


def small(**more: Any) -> dict[str, Any]:
    return {"net_arch": [4], **more}  # a new one each time: SB3 writes into it


class AnySpaceEnv(gym.Env[Any, Any]):
    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}

    def action_masks(self) -> np.ndarray:
        return np.ones(3, bool)


MODELS: dict[str, tuple[type[BaseAlgorithm], str, Any, Any, dict[str, Any]]] = {
    "ppo": (
        PPO,
        "MlpPolicy",
        VECTOR,
        MANY,
        {"policy_kwargs": {"net_arch": {"pi": [4], "vf": [5, 6]}}, "n_steps": 4, "batch_size": 4},
    ),
    "ppo images": (
        PPO,
        "CnnPolicy",
        IMAGE,
        DISCRETE,
        {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 8}}},
    ),
    "ppo impala": (
        PPO,
        "CnnPolicy",
        IMAGE,
        DISCRETE,
        {
            "policy_kwargs": {
                "features_extractor_class": ImpalaCNN,
                "features_extractor_kwargs": {"features_dim": 8, "channels": [2]},
            }
        },
    ),
    "ppo mixed": (PPO, "MultiInputPolicy", MIXED, CONTINUOUS, {"policy_kwargs": small()}),
    "a2c": (
        A2C,
        "MlpPolicy",
        VECTOR,
        CONTINUOUS,
        {"use_sde": True, "policy_kwargs": small(activation_fn=torch.nn.ELU)},
    ),
    "dqn": (
        DQN,
        "MlpPolicy",
        VECTOR,
        DISCRETE,
        {"policy_kwargs": small(), "n_steps": 3, "learning_rate": LinearSchedule(1, 0, 1)},
    ),
    "dqn memory": (
        DQN,
        "CnnPolicy",
        IMAGE,
        DISCRETE,
        {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}},
    ),
    "sac": (
        SAC,
        "MlpPolicy",
        VECTOR,
        CONTINUOUS,
        {"policy_kwargs": small(n_critics=3), "train_freq": (1, "episode")},
    ),
    "tqc": (TQC, "MlpPolicy", VECTOR, CONTINUOUS, {"policy_kwargs": small(n_quantiles=7), "ent_coef": "auto_0.1"}),
    "maskable": (MaskablePPO, "MlpPolicy", VECTOR, DISCRETE, {"policy_kwargs": small()}),
    "recurrent": (RecurrentPPO, "MlpLstmPolicy", VECTOR, DISCRETE, {"policy_kwargs": small(lstm_hidden_size=6)}),
    "ars": (ARS, "LinearPolicy", VECTOR, CONTINUOUS, {"policy_kwargs": {"with_bias": True}}),
}


def make_model(name: str) -> tuple[BaseAlgorithm, AnySpaceEnv]:
    algorithm, policy, observation_space, action_space, keywords = MODELS[name]
    env = AnySpaceEnv(observation_space, action_space)
    if "buffer_size" in algorithm.__init__.__annotations__:
        keywords = {"buffer_size": 20, **keywords}
    make: Any = algorithm
    return make(policy, env, device="cpu", **copy.deepcopy(keywords)), env


def save_bundle(model: BaseAlgorithm, path: Path) -> Bundle:
    return write_bundle(path, capture_content(model))


def assert_acts_the_same(loaded: BaseAlgorithm, original: BaseAlgorithm) -> None:
    assert type(loaded) is type(original)
    assert original.env is not None
    observation: Any = original.env.reset()
    for found, expected in zip(
        loaded.predict(observation, deterministic=True), original.predict(observation, deterministic=True), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    for name, tensor in original.policy.state_dict().items():
        assert torch.equal(tensor, loaded.policy.state_dict()[name]), name


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("with_env", [False, True])
def test_a_checkpoint_acts_as_the_saved_model(tmp_path: Path, name: str, with_env: bool) -> None:
    model, env = make_model(name)
    bundle = save_bundle(model, tmp_path / "step_000000000")

    loaded = load_model(bundle.path, env=env if with_env else None, device="cpu")

    assert_acts_the_same(loaded, model)
    for argument in ("gamma", "n_steps", "buffer_size", "train_freq", "target_entropy", "n_delta"):
        assert vars(loaded).get(argument) == vars(model).get(argument)


@pytest.mark.parametrize("name", list(MODELS))
def test_a_zip_of_stock_sb3_acts_as_the_saved_model(tmp_path: Path, name: str) -> None:
    model, env = make_model(name)
    model.save(tmp_path / "model.zip")

    loaded = load_model(tmp_path / "model.zip", env=env, algorithm=type(model), device="cpu")

    assert_acts_the_same(loaded, model)


def test_a_loaded_model_can_be_trained_further(tmp_path: Path, tiny_ppo: PPO) -> None:
    bundle = save_bundle(tiny_ppo, tmp_path / "step_000000032")

    loaded = load_model(bundle.path, env=gym.make("CartPole-v1"), device="cpu")

    assert loaded.learn(16).num_timesteps == 16
    assert not torch.equal(
        loaded.policy.state_dict()["action_net.weight"], tiny_ppo.policy.state_dict()["action_net.weight"]
    )


def test_a_her_model_is_loaded_with_its_environment(tmp_path: Path) -> None:
    env = BitFlippingEnv(n_bits=3, continuous=True)
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 2, "goal_selection_strategy": "final"},
        buffer_size=20,
        policy_kwargs=small(),
        device="cpu",
    )
    bundle = save_bundle(model, tmp_path / "step_000000000")
    model.save(tmp_path / "model.zip")

    for path in (bundle.path, tmp_path / "model.zip"):
        loaded = load_model(path, env=env, device="cpu", algorithm="sac")

        assert isinstance(loaded, SAC)
        assert isinstance(loaded.replay_buffer, HerReplayBuffer)
        assert loaded.replay_buffer.n_sampled_goal == 2
    with pytest.raises(CheckpointError, match="You must pass an environment"):
        load_model(bundle.path, device="cpu")


def test_a_zip_within_a_checkpoint_is_loaded_as_the_checkpoint(tmp_path: Path, tiny_ppo: PPO) -> None:
    bundle = save_bundle(tiny_ppo, tmp_path / "step_000000032")
    (tmp_path / "latest").symlink_to(bundle.path.name)

    assert_acts_the_same(load_model(tmp_path / "latest" / "model.zip", device="cpu"), tiny_ppo)


@pytest.mark.parametrize("in_checkpoint", [True, False])
def test_trust_loads_everything_as_stock_sb3_does(tmp_path: Path, tiny_ppo: PPO, in_checkpoint: bool) -> None:
    path = save_bundle(tiny_ppo, tmp_path / "step_000000032").path
    if not in_checkpoint:
        path = (path / "model.zip").rename(tmp_path / "model.zip")

    loaded = load_model(path, trust=True, algorithm=None if in_checkpoint else "ppo", device="cpu")

    assert_acts_the_same(loaded, tiny_ppo)
    assert loaded.num_timesteps == 32
    assert loaded.policy.optimizer.state_dict()["state"]


OWN_MODULE: Any = types.ModuleType("own_module_of_a_user")
for name, base in {"OwnExtractor": FlattenExtractor, "OwnPPO": PPO}.items():
    setattr(OWN_MODULE, name, type(name, (base,), {"__module__": OWN_MODULE.__name__}))


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, OWN_MODULE.__name__, OWN_MODULE)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("algorithm", "policy_kwargs", "own"),
    [
        (
            PPO,
            {"features_extractor_class": OWN_MODULE.OwnExtractor},
            "features_extractor_class own_module_of_a_user.OwnExtractor",
        ),
        (OWN_MODULE.OwnPPO, {}, "algorithm own_module_of_a_user.OwnPPO"),
    ],
)
def test_custom_code_needs_trust(tmp_path: Path, algorithm: Any, policy_kwargs: dict[str, Any], own: str) -> None:
    model = algorithm("MlpPolicy", "CartPole-v1", policy_kwargs=small(**policy_kwargs), device="cpu")
    bundle = save_bundle(model, tmp_path / "step_000000000")

    with pytest.raises(CheckpointError, match=rf"needs its own code \({own}\): load it with trust"):
        load_model(bundle.path, device="cpu")

    assert_acts_the_same(load_model(bundle.path, trust=True, device="cpu"), model)


def test_only_weights_are_copied_into_another_model(tmp_path: Path, tiny_ppo: PPO) -> None:
    bundle = save_bundle(tiny_ppo, tmp_path / "step_000000032")
    tiny_ppo.save(tmp_path / "stock.zip")

    for path in (bundle.path, bundle.model_path, tmp_path / "stock.zip"):
        other = PPO("MlpPolicy", "CartPole-v1", policy_kwargs=small(), gamma=0.5, device="cpu")
        restore_weights(other, path)
        assert_acts_the_same(tiny_ppo, other)
        assert (other.gamma, other.num_timesteps) == (0.5, 0)

    wider = PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [5]}, device="cpu")
    with pytest.raises(
        CheckpointError, match=r"weights do not fit the model: .* has shape \[4, 4\], expected \[5, 4\]"
    ):
        restore_weights(wider, bundle.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "does not contain its algorithm: give algorithm, such as 'ppo'"),
        ({"algorithm": "ppo"}, "give env, or trust=True"),
        ({"algorithm": "pppo", "env": None}, "unknown algorithm 'pppo'"),
        ({"algorithm": "dqn", "env": "CartPole-v1"}, "the weights do not fit the model"),
        ({"algorithm": "ppo", "env": "Acrobot-v1"}, "the weights do not fit the model"),
        ({"algorithm": "dqn", "trust": True}, "cannot be loaded as a DQN"),
    ],
)
def test_errors_have_one_line(tmp_path: Path, tiny_ppo: PPO, arguments: dict[str, Any], message: str) -> None:
    tiny_ppo.save(tmp_path / "model.zip")
    if arguments.get("env"):
        arguments = {**arguments, "env": gym.make(arguments["env"])}

    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path / "model.zip", device="cpu", **arguments)

    assert "\n" not in str(caught.value)


def test_other_environments_and_missing_files_are_refused(tmp_path: Path, tiny_ppo: PPO) -> None:
    bundle = save_bundle(tiny_ppo, tmp_path / "step_000000032")

    with pytest.raises(CheckpointError, match="Observation spaces do not match"):
        load_model(bundle.path, env=gym.make("Acrobot-v1"), device="cpu")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "nothing.zip")
    with pytest.raises(CheckpointError, match=r"is neither a run nor a checkpoint: .* no manifest\.json"):
        load_model(tmp_path)
