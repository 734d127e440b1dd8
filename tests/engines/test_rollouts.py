"""Rollouts of the engines are those of SB3's loops, with the same random numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from parity import RandomEnv
from sb3_contrib import QRDQN, TQC, CrossQ, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_ext.algorithms.board_buffers import BoardRolloutBuffer
from sb3_ext.algorithms.masked_dqn import MaskedDQN
from sb3_ext.engines.attachment import attaching

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
PLACES = spaces.Dict({"a": VECTOR, "b": spaces.Box(-1, 1, (2, 2))})
PARTS = spaces.Dict({"a": spaces.Box(-1, 1, (2, 2)), "b": spaces.Discrete(3)})
BOARD = spaces.Dict({"observation": VECTOR, "action_mask": spaces.MultiBinary(3)})
NUMBERS = spaces.Box(np.array([-1, 0], np.float32), np.array([2, 3], np.float32))
THREE = spaces.Discrete(3)
LEFT_OVER = {"idx", "done", "terminal_obs", "terminal_value"}  # variables of inner loops
OFF_POLICY = {"learning_starts": 10, "buffer_size": 60, "train_freq": 5}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


class RecordingCallback(BaseCallback):
    """Records the local variables of the loop."""

    def __init__(self, last_step: int | None = None) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []
        self._last_step = last_step

    def _record(self) -> None:
        kept = {name: value for name, value in self.locals.items() if name not in LEFT_OVER}
        kept = {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in kept.items()}
        self.steps.append(
            {name: np.array(value) for name, value in kept.items() if isinstance(value, np.ndarray | int)}
        )
        self.steps[-1]["names"] = np.array(sorted(kept))

    def _on_step(self) -> bool:
        self._record()
        return self.num_timesteps != self._last_step

    def _on_rollout_end(self) -> None:
        self._record()


class OwnBuffer(RolloutBuffer):
    """Negates rewards."""

    def add(self, obs: Any, action: Any, reward: Any, *others: Any, **keywords: Any) -> None:
        super().add(obs, action, -reward, *others, **keywords)


def make_model(
    algorithm: type[BaseAlgorithm],
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    *,
    num_envs: int = 2,
    normalizes: bool = False,
    make_env: Callable[[], Any] | None = None,
    **arguments: Any,
) -> Any:
    def make() -> Any:
        return Monitor(TimeLimit(RandomEnv(observations, actions), 4) if make_env is None else make_env())

    env: Any = DummyVecEnv([make] * num_envs)
    env = VecNormalize(env) if normalizes else env
    policy = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    policy = "MlpLstmPolicy" if algorithm is RecurrentPPO else policy
    model: Any = algorithm(policy, env, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **arguments)  # type: ignore[arg-type]
    return model


def learn(model: Any, engine_id: str, last_step: int | None = None) -> dict[str, Any]:
    """:return: all that collecting has an effect on"""
    callback = RecordingCallback(last_step)

    def update(*arguments: Any, **keywords: Any) -> None:
        for parameter in model.policy.parameters():  # in other memory, as when an engine makes its arrays
            parameter.data = parameter.data * 0.99

    with attaching(model, engine_id, update):  # type: ignore[arg-type]
        model.learn(84, callback=callback, log_interval=3)
    buffer = getattr(model, "replay_buffer", None) or model.rollout_buffer
    normalizer = model.get_vec_normalize_env()
    rows: dict[str, Any] = {}
    for name, value in vars(buffer).items():
        parts = value if isinstance(value, dict) else {"": value}
        rows |= {f"{name}/{key}": np.array(part) for key, part in parts.items() if is_number(part)}
    return {
        **rows,
        **{f"step {place}: {name}": value for place, step in enumerate(callback.steps) for name, value in step.items()},
        "random/numpy": np.random.random(),
        "random/torch": torch.rand(1),
        "random/space": model.action_space.np_random.random(),
        "returns": np.array([episode["r"] for episode in model.ep_info_buffer]),
        "observations": np.concatenate([part.reshape(-1) for part in list_parts(model._last_obs)]),
        "original": 0 if model._last_original_obs is None else list_parts(model._last_original_obs)[0],
        "statistics": sum(part.mean.sum() for part in list_parts(normalizer.obs_rms)) if normalizer is not None else 0,
        "counters": [model.num_timesteps, model._episode_num, getattr(model, "_n_calls", 0)],
        "exploration": getattr(model, "exploration_rate", 0),
        "target": read_target(model),
    }


def is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype != object)


def list_parts(observations: Any) -> list[Any]:
    return list(observations.values()) if isinstance(observations, dict) else [observations]


def read_target(model: Any) -> Any:
    target = getattr(model, "q_net_target", None) or getattr(model, "quantile_net_target", None)
    return 0 if target is None else torch.cat([tensor.flatten() for tensor in target.state_dict().values()]).numpy()


CASES: dict[str, Callable[[], Any]] = {
    "ppo": lambda: make_model(PPO, VECTOR, THREE, n_steps=7, batch_size=14, normalizes=True),
    "ppo on mirror boards": lambda: make_model(
        PPO, spaces.Discrete(3), THREE, n_steps=7, batch_size=14, rollout_buffer_class=BoardRolloutBuffer,
        rollout_buffer_kwargs={"num_mirrors": 1},
    ),
    "a2c": lambda: make_model(A2C, PARTS, NUMBERS, n_steps=7),
    "a2c with gsde": lambda: make_model(A2C, VECTOR, NUMBERS, n_steps=7, use_sde=True, sde_sample_freq=3),
    "own buffer": lambda: make_model(A2C, VECTOR, THREE, n_steps=7, rollout_buffer_class=OwnBuffer),
    "maskable ppo": lambda: make_model(MaskablePPO, VECTOR, spaces.MultiDiscrete([3, 2]), n_steps=7, batch_size=14),
    "dqn": lambda: make_model(
        DQN, PARTS, THREE, **OFF_POLICY, exploration_fraction=0.9, target_update_interval=4, tau=0.5, num_envs=1
    ),
    "dqn in little memory": lambda: make_model(
        DQN, VECTOR, THREE, **OFF_POLICY, target_update_interval=4, exploration_final_eps=0.3,
        optimize_memory_usage=True, replay_buffer_kwargs={"handle_timeout_termination": False},
    ),
    "qrdqn": lambda: make_model(QRDQN, spaces.Discrete(3), THREE, **OFF_POLICY, target_update_interval=4),
    "masked dqn": lambda: make_model(MaskedDQN, BOARD, THREE, **OFF_POLICY, exploration_final_eps=0.5),
    "her": lambda: make_model(
        DQN, VECTOR, THREE, **OFF_POLICY, replay_buffer_class=HerReplayBuffer, make_env=lambda: BitFlippingEnv(3)
    ),
    "sac": lambda: make_model(SAC, VECTOR, NUMBERS, **OFF_POLICY, normalizes=True),
    "tqc": lambda: make_model(TQC, PLACES, NUMBERS, **OFF_POLICY, normalizes=True),
    "sac with gsde": lambda: make_model(SAC, VECTOR, NUMBERS, **OFF_POLICY, use_sde=True, use_sde_at_warmup=True),
    "td3": lambda: make_model(
        TD3, VECTOR, NUMBERS, learning_starts=10, buffer_size=60, train_freq=(1, "episode"), num_envs=1,
        action_noise=NormalActionNoise(np.zeros(2), 0.1 * np.ones(2)),
    ),
    "crossq": lambda: make_model(CrossQ, VECTOR, NUMBERS, **OFF_POLICY),
}  # fmt: skip


@pytest.mark.parametrize("last_step", [None, 34], ids=["", "stopped"])
@pytest.mark.parametrize("case", CASES)
def test_a_rollout_is_the_stock_one(case: str, last_step: int | None) -> None:
    stock, found = (learn(CASES[case](), engine_id, last_step) for engine_id in ("stock", "torch"))
    assert found.keys() == stock.keys()
    for name, value in stock.items():
        if name.endswith("names"):
            np.testing.assert_array_equal(found[name], value, name)
        else:
            np.testing.assert_allclose(found[name], value, **TOLERANCE, err_msg=name)


def test_a_class_with_a_loop_of_its_own_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(RecurrentPPO, VECTOR, THREE, n_steps=7, batch_size=14)
    caplog.set_level(logging.INFO)
    with attaching(model, "torch", None):
        assert model.collect_rollouts.__func__ is RecurrentPPO.collect_rollouts
    assert "collecting: by SB3's own loop, since RecurrentPPO has another collect_rollouts" in caplog.text


def test_a_policy_with_another_forward_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    learn(CASES["a2c with gsde"](), "torch")
    line = "collecting: actions by the policy's own forward, since exploration is state-dependent (use_sde)"
    assert caplog.text.count(line) == 1


def test_the_stock_engine_leaves_the_loop_alone() -> None:
    model = CASES["a2c"]()
    with attaching(model, "stock", None):
        assert "collect_rollouts" not in vars(model)
    with attaching(model, "torch", None):
        assert "collect_rollouts" in vars(model)
    assert "collect_rollouts" not in vars(model)
