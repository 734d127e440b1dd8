"""Agents in ONNX files act like ``predict``, for every algorithm and kind of observation and action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import onnxruntime
import pytest
from gymnasium import spaces
from sb3_contrib import ARS, QRDQN, TQC, TRPO, CrossQ, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from page_agents import randomize_agent
from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.exporting.onnx_model import compare_actions, convert_graph, make_graph
from sb3_ext.internals.sb3 import wrap_env
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent

VECTOR = spaces.Box(-10, 10, (5,), np.float32)
PIXELS = spaces.Box(0, 255, (36, 36, 3), np.uint8)
PARTS = spaces.Dict(
    {
        "image": PIXELS,
        "place": spaces.Discrete(4),
        "speed": spaces.Box(-5, 5, (3,), np.float64),
        "switches": spaces.MultiBinary(3),
    }
)
RANGE = spaces.Box(np.array([-3, 0], np.float32), np.array([1, 20], np.float32))


class Sampled(gymnasium.Env[Any, Any]):
    """Random observations; with ``masks``, at least the first action of each part is legal."""

    def __init__(self, observations: spaces.Space[Any], actions: spaces.Space[Any], num_masks: int = 0) -> None:
        self.observation_space, self.action_space = observations, actions
        self.num_masks = num_masks
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), 0.0, self.steps == 7, False, {}

    def action_masks(self) -> Any:
        masks = self.np_random.random(self.num_masks) < 0.5
        masks[[0, -1]] = True
        return masks if isinstance(self.action_space, spaces.Discrete) else np.ones_like(masks)


class Maskless(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Hides the method ``action_masks``."""


def make_sampled(
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    *,
    stack: int = 0,
    normalize: bool = False,
    num_masks: int = 0,
) -> VecEnv:
    def make() -> gymnasium.Env[Any, Any]:
        env = Sampled(observations, actions, num_masks)
        return env if num_masks else Maskless(env)

    env: VecEnv = DummyVecEnv([make] * 4)
    if stack:
        env = VecFrameStack(env, stack)
    env = wrap_env(env)
    if normalize:
        keys = ["speed"] if isinstance(observations, spaces.Dict) else None
        env = VecNormalize(env, norm_obs_keys=keys, clip_obs=2.0)
        env.seed(0)
        env.reset()
        for _ in range(20):
            env.step(np.array([env.action_space.sample() for _ in range(4)]))
        env.training = False
    return env


def make_board(agent: str) -> VecEnv:
    game = make_game("connect4", num_boards=4, params={"rows": 4, "cols": 5, "in_a_row": 3})
    return SelfPlayVecEnv(game, make_opponent("random", seed=1), masks_in_observation=agent == "dqn")


SMALL: dict[str, Any] = {"n_steps": 8, "batch_size": 8}
BUFFER: dict[str, Any] = {"buffer_size": 64}
TINY: dict[str, Any] = {"net_arch": [8]}  # copied, since SB3 adds to it

CASES: dict[str, Callable[[], Any]] = {
    "ppo, frame stack, statistics": lambda: PPO(
        "MlpPolicy", make_sampled(VECTOR, spaces.Discrete(3), stack=3, normalize=True), **SMALL, policy_kwargs={**TINY}
    ),
    "maskable ppo": lambda: MaskablePPO(
        "MlpPolicy", make_board("ppo"), **SMALL, policy_kwargs={**TINY, "features_extractor_class": BoardCNN}
    ),
    "recurrent ppo, frame stack": lambda: RecurrentPPO(
        "MlpLstmPolicy",
        make_sampled(VECTOR, spaces.Discrete(3), stack=2),
        **SMALL,
        policy_kwargs={**TINY, "lstm_hidden_size": 8, "n_lstm_layers": 2},
    ),
    "sac, Dict with an image, statistics": lambda: SAC(
        "MultiInputPolicy", make_sampled(PARTS, RANGE, normalize=True), **BUFFER, policy_kwargs={**TINY}
    ),
    "ppo, image, frame stack": lambda: PPO(
        "CnnPolicy", make_sampled(PIXELS, spaces.Discrete(3), stack=2), **SMALL, policy_kwargs={**TINY}
    ),
    "ppo, continuous": lambda: PPO("MlpPolicy", make_sampled(VECTOR, RANGE), **SMALL, policy_kwargs={**TINY}),
    "ppo, gSDE": lambda: PPO("MlpPolicy", make_sampled(VECTOR, RANGE), use_sde=True, **SMALL, policy_kwargs={**TINY}),
    "ppo, squashed gSDE": lambda: PPO(
        "MlpPolicy", make_sampled(VECTOR, RANGE), use_sde=True, **SMALL, policy_kwargs={**TINY, "squash_output": True}
    ),
    "ppo, MultiDiscrete": lambda: PPO(
        "MlpPolicy",
        make_sampled(spaces.MultiDiscrete([3, 4]), spaces.MultiDiscrete([3, 2])),
        **SMALL,
        policy_kwargs={**TINY},
    ),
    "ppo, MultiBinary": lambda: PPO(
        "MlpPolicy", make_sampled(spaces.MultiBinary(6), spaces.MultiBinary(3)), **SMALL, policy_kwargs={**TINY}
    ),
    "a2c, Discrete observations": lambda: A2C(
        "MlpPolicy", make_sampled(spaces.Discrete(9), spaces.Discrete(3)), policy_kwargs={**TINY}
    ),
    "trpo": lambda: TRPO("MlpPolicy", make_sampled(VECTOR, spaces.Discrete(3)), **SMALL, policy_kwargs={**TINY}),
    "ars": lambda: ARS("LinearPolicy", make_sampled(VECTOR, RANGE), n_delta=2),
    "maskable ppo, MultiDiscrete": lambda: MaskablePPO(
        "MlpPolicy",
        make_sampled(VECTOR, spaces.MultiDiscrete([3, 2]), num_masks=5),
        **SMALL,
        policy_kwargs={**TINY},
    ),
    "maskable ppo, Dict, frame stack": lambda: MaskablePPO(
        "MultiInputPolicy",
        make_sampled(spaces.Dict({"a": VECTOR, "b": spaces.Box(0, 1, (2,))}), spaces.Discrete(4), stack=2, num_masks=4),
        **SMALL,
        policy_kwargs={**TINY},
    ),
    "maskable ppo, MultiBinary": lambda: MaskablePPO(
        "MlpPolicy", make_sampled(VECTOR, spaces.MultiBinary(2), num_masks=4), **SMALL, policy_kwargs={**TINY}
    ),
    "recurrent ppo, continuous, statistics": lambda: RecurrentPPO(
        "MlpLstmPolicy",
        make_sampled(VECTOR, RANGE, normalize=True),
        **SMALL,
        policy_kwargs={**TINY, "lstm_hidden_size": 8},
    ),
    "recurrent ppo, Dict": lambda: RecurrentPPO(
        "MultiInputLstmPolicy",
        make_sampled(PARTS, spaces.MultiDiscrete([3, 2])),
        **SMALL,
        policy_kwargs={**TINY, "lstm_hidden_size": 8},
    ),
    "dqn": lambda: DQN("MlpPolicy", make_sampled(VECTOR, spaces.Discrete(3)), **BUFFER, policy_kwargs={**TINY}),
    "dqn with masks": lambda: MaskedDQN("MultiInputPolicy", make_board("dqn"), **BUFFER, policy_kwargs={**TINY}),
    "qrdqn, image": lambda: QRDQN(
        "CnnPolicy", make_sampled(PIXELS, spaces.Discrete(3)), **BUFFER, policy_kwargs={**TINY}
    ),
    "qrdqn with masks": lambda: MaskedQRDQN("MultiInputPolicy", make_board("dqn"), **BUFFER, policy_kwargs={**TINY}),
    "td3, statistics": lambda: TD3(
        "MlpPolicy", make_sampled(VECTOR, RANGE, normalize=True), **BUFFER, policy_kwargs={**TINY}
    ),
    "ddpg": lambda: DDPG("MlpPolicy", make_sampled(VECTOR, RANGE), **BUFFER, policy_kwargs={**TINY}),
    "tqc, frame stack": lambda: TQC(
        "MlpPolicy", make_sampled(VECTOR, RANGE, stack=2), **BUFFER, policy_kwargs={**TINY}
    ),
    "crossq": lambda: CrossQ("MlpPolicy", make_sampled(VECTOR, RANGE), **BUFFER, policy_kwargs={**TINY}),
}
FAST = ["maskable ppo", "recurrent ppo, frame stack"]


@pytest.mark.parametrize(
    "case", [*FAST, *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in FAST)]
)
def test_actions_are_those_of_predict(case: str) -> None:
    agent = randomize_agent(CASES[case]())
    graph = make_graph(agent)
    session = onnxruntime.InferenceSession(convert_graph(graph, {}))
    compared = compare_actions(session, graph, agent, 400 if case in FAST else 10_000)

    assert compared.observations == (400 if case in FAST else 10_000)
    assert compared.differing == 0
    assert compared.near_ties <= compared.observations // 1000
