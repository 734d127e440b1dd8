"""Actions of a Predictor are those of SB3's predict, drawn with the same random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import RandomEnv
from sb3_contrib import QRDQN, TQC, CrossQ, MaskablePPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.engines.collecting import predictor as predictor_module
from sb3_ext.engines.collecting.predictor import Predictor

VECTOR = spaces.Box(-1, 1, (4,), np.float64)
IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
PARTS = spaces.Dict({"a": spaces.Box(-1, 1, (2, 2)), "b": spaces.Discrete(3), "c": spaces.MultiBinary(2)})
BOARD = spaces.Dict({"observation": VECTOR, "action_mask": spaces.MultiBinary(4)})
INTEGERS = spaces.MultiDiscrete([3, 2])
NUMBERS = spaces.Box(np.array([-1, 0], np.float32), np.array([2, 3], np.float32))
TOLERANCE = 1e-5


class OwnPolicy(ActorCriticPolicy):
    """Computes features in its own way."""

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        return super().extract_features(-obs, features_extractor)


def make_model(
    algorithm: type[BaseAlgorithm], observations: spaces.Space[Any], actions: spaces.Space[Any], **arguments: Any
) -> Any:
    policy = "MultiInputPolicy" if isinstance(observations, spaces.Dict) else "MlpPolicy"
    env = DummyVecEnv([lambda: RandomEnv(observations, actions)] * 3)
    arguments["policy_kwargs"] = {"net_arch": [8], **arguments.get("policy_kwargs", {})}
    return algorithm(arguments.pop("policy", policy), env, seed=0, device="cpu", **arguments)  # type: ignore[arg-type]


def predict_by_both(model: Any, predictor: Predictor, batch: Any, deterministic: bool) -> None:
    env = model.get_env()
    masks = {"action_masks": np.stack(env.env_method("action_masks"))} if isinstance(model, MaskablePPO) else {}
    torch.manual_seed(3)
    expected, _ = model.predict(batch, deterministic=deterministic, **masks)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    found, state = predictor.predict(batch, deterministic=deterministic, **masks)
    assert state is None
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    torch.testing.assert_close(torch.get_rng_state(), after, rtol=0, atol=0)


CASES = {
    "discrete": (PPO, VECTOR, spaces.Discrete(3), {}),
    "integers": (PPO, INTEGERS, INTEGERS, {"policy_kwargs": {"activation_fn": nn.ReLU}}),
    "bits": (PPO, spaces.MultiBinary(5), spaces.MultiBinary(3), {"policy_kwargs": {"activation_fn": nn.ELU}}),
    "numbers": (PPO, PARTS, NUMBERS, {"policy_kwargs": {"share_features_extractor": False, "net_arch": []}}),
    "images": (PPO, IMAGE, spaces.Discrete(2), {"policy": "CnnPolicy"}),
    "masked": (MaskablePPO, spaces.Discrete(5), spaces.Discrete(4), {}),
    "masked integers": (MaskablePPO, VECTOR, INTEGERS, {}),
    "masked bits": (MaskablePPO, VECTOR, spaces.MultiBinary(3), {}),
    "dqn": (DQN, PARTS, spaces.Discrete(3), {}),
    "qrdqn": (QRDQN, VECTOR, spaces.Discrete(3), {"policy_kwargs": {"n_quantiles": 5}}),
    "masked dqn": (MaskedDQN, BOARD, spaces.Discrete(4), {}),
    "masked qrdqn": (MaskedQRDQN, BOARD, spaces.Discrete(4), {}),
    "sac": (SAC, VECTOR, NUMBERS, {}),
    "tqc": (TQC, PARTS, NUMBERS, {}),
    "td3": (TD3, VECTOR, NUMBERS, {}),
    "wide": (TD3, VECTOR, NUMBERS, {"policy_kwargs": {"net_arch": [700, 700]}}),  # computed by torch
}


@pytest.mark.parametrize("case", CASES)
def test_actions_are_those_of_predict(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, observations, actions, arguments = CASES[case]
    model = make_model(algorithm, observations, actions, **arguments)
    predictor = Predictor(model)
    batch = model.get_env().reset()
    for step in range(20):
        predict_by_both(model, predictor, batch, deterministic=True)
        predict_by_both(model, predictor, batch, deterministic=False)
        batch = model.get_env().step(np.stack([actions.sample() for _env in range(3)]))[0]
        if step == 10:
            with torch.no_grad():  # an update, in place and in other memory
                for parameter in model.policy.parameters():
                    parameter.add_(0.1)
                    parameter.data = parameter.data.clone()
    monkeypatch.setattr(predictor_module, "make_program", None)  # it has one already
    predictor.predict(model.observation_space.sample())  # of one environment: by the model


@pytest.mark.parametrize(
    "model",
    [
        make_model(PPO, VECTOR, NUMBERS, use_sde=True),
        make_model(PPO, VECTOR, NUMBERS, policy=OwnPolicy),
        make_model(CrossQ, VECTOR, NUMBERS),
    ],
    ids=["gsde", "own policy", "crossq"],
)
def test_the_model_predicts_where_there_is_no_program(model: Any) -> None:
    batch = model.get_env().reset()
    expected, _ = model.predict(batch, deterministic=True)
    np.testing.assert_array_equal(Predictor(model).predict(batch, deterministic=True)[0], expected)


def test_outputs_that_are_nan_draw_no_action() -> None:
    model = make_model(PPO, VECTOR, spaces.Discrete(2))
    with torch.no_grad():
        model.policy.action_net.bias[0] = torch.nan
    with pytest.raises(RuntimeError, match="cannot draw actions: the outputs of the policy are NaN or infinite"):
        Predictor(model).predict(model.get_env().reset())
