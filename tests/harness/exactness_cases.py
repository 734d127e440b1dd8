"""The combinations that ``exactness.py`` interrupts and resumes."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SMALL = {"policy_kwargs": {"net_arch": [8]}, "device": "cpu", "seed": 3}
ON_POLICY = {**SMALL, "n_steps": 24}
REPLAY = {**SMALL, "buffer_size": 150, "learning_starts": 30, "batch_size": 8}
EXPLORATION = {"exploration_fraction": 0.8, "target_update_interval": 30, "train_freq": 3}
PARAMETERS: dict[str, dict[str, Any]] = {
    "PPO": {**ON_POLICY, "batch_size": 16, "n_epochs": 2},
    "A2C": {**SMALL, "n_steps": 6},
    "TRPO": {**ON_POLICY, "batch_size": 16, "n_critic_updates": 2},
    "MaskablePPO": {**ON_POLICY, "batch_size": 16, "n_epochs": 2},
    "RecurrentPPO": {
        **ON_POLICY,
        "batch_size": 16,
        "n_epochs": 2,
        "policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 8},
    },
    "DQN": {**REPLAY, **EXPLORATION},
    "QRDQN": {**REPLAY, **EXPLORATION, "policy_kwargs": {"net_arch": [8], "n_quantiles": 5}},
    "SAC": {**REPLAY, "train_freq": 2},
    "TD3": {**REPLAY, "train_freq": 2, "gradient_steps": 1},
    "TQC": {**REPLAY, "train_freq": 2, "policy_kwargs": {"net_arch": [8], "n_quantiles": 5}},
    "CrossQ": {**REPLAY, "train_freq": 2},
}
WITHOUT_DISCRETE = ("SAC", "TD3", "TQC", "CrossQ")
WITHOUT_CONTINUOUS = ("DQN", "QRDQN", "MaskablePPO")
WITH_GSDE = ("PPO", "A2C", "TRPO", "RecurrentPPO", "SAC", "TQC", "CrossQ")
MODES = ("sequential", "subproc", "workers")
_LISTED_MODES = ("sequential", "subproc")
OBSERVATIONS: dict[str, spaces.Space[Any]] = {"images": spaces.Box(0, 255, (36, 36, 1), np.uint8)}
OBSERVATIONS["dict"] = spaces.Dict({"image": OBSERVATIONS["images"], "vector": spaces.Box(-1, 1, (3,))})


class UnrulyEnv(gymnasium.Env[Any, Any]):
    """Draws from every generator of its process, and samples the space that the algorithm samples too."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def __init__(self, is_continuous: bool = False) -> None:
        self.action_space = spaces.Box(-1, 1, (2,)) if is_continuous else spaces.Discrete(3)
        self.walk = np.zeros(3, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:  # or else no two runs with worker processes are the same
            self.seed_global_generators(seed)
        self.walk = np.array([self.np_random.normal(), np.random.normal(), random.gauss(0, 1)], np.float32)
        return self.walk.copy(), {}

    def seed_global_generators(self, seed: int) -> None:
        np.random.seed(seed)
        random.seed(seed)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.walk += np.random.normal(size=3).astype(np.float32) + np.float32(np.mean(self.action_space.sample()))
        reward = float(np.tanh(self.walk.sum()) + random.random())
        return self.walk.copy(), reward, bool(self.np_random.random() < 0.05), False, {}


gymnasium.register("exactness/Unruly-v0", entry_point=UnrulyEnv)
gymnasium.register("exactness/UnrulyBox-v0", entry_point=UnrulyEnv, kwargs={"is_continuous": True})
gymnasium.register("exactness/BitFlipping-v0", entry_point="stable_baselines3.common.envs:BitFlippingEnv")


@dataclass(frozen=True)
class Case:
    """
    One combination.

    :param algorithm: class name in SB3 or sb3-contrib
    :param env: Gymnasium id
    :param mode: ``parallel.mode``
    :param n_envs: environments side by side
    :param normalize: with ``VecNormalize``
    :param frame_stack: frames, ``None`` for no stack
    :param observations: of the mock environment: ``images`` or ``dict``
    :param hindsight: with ``HerReplayBuffer``
    :param gsde: state-dependent exploration
    :param noise: action noise, ``normal`` or ``ornstein_uhlenbeck``
    :param loaded: resume a model made by ``load`` instead of by its constructor
    :param parameters: further ones of the algorithm
    """

    algorithm: str
    env: str
    mode: str = "sequential"
    n_envs: int = 2
    normalize: bool = False
    frame_stack: int | None = None
    observations: str | None = None
    hindsight: bool = False
    gsde: bool = False
    noise: str | None = None
    loaded: bool = False
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """Says what differs from the simplest case."""
        words = [self.algorithm, self.env.rpartition("/")[2], self.mode]
        flags = ("normalize", "frame_stack", "hindsight", "gsde", "loaded")
        words += [flag for flag in flags if getattr(self, flag)] + [self.observations or "", self.noise or ""]
        words += [key + "".join(filter(str.isalnum, str(value))) for key, value in self.parameters.items()]
        return "-".join(filter(None, [*words, f"{self.n_envs}envs"]))


def list_quick_cases(mode: str | None = None) -> list[Case]:
    """
    :param mode: ``parallel.mode`` of all of them
    :return: every algorithm and every feature at least once, simplest first
    """
    cases = [
        Case("PPO", "CartPole-v1"),
        Case("PPO", "exactness/Unruly-v0", mode="subproc", normalize=True),
        Case("PPO", "exactness/Unruly-v0", mode="workers", n_envs=4, normalize=True, frame_stack=2),
        Case("PPO", "Pendulum-v1", gsde=True, normalize=True),
        Case("PPO", "Pendulum-v1", gsde=True, loaded=True, parameters={"sde_sample_freq": 5}),
        Case("PPO", "sb3_ext/Mock-v0", observations="images", frame_stack=2),
        Case("A2C", "CartPole-v1", normalize=True, frame_stack=3),
        Case("A2C", "exactness/Unruly-v0"),
        Case("A2C", "sb3_ext/Mock-v0", observations="dict", normalize=True, frame_stack=2),
        Case("TRPO", "Pendulum-v1"),
        Case("MaskablePPO", "sb3_ext/Mock-v0", mode="subproc"),
        Case("MaskablePPO", "sb3_ext/Mock-v0", mode="workers"),
        Case("RecurrentPPO", "CartPole-v1", loaded=True),
        Case("RecurrentPPO", "Pendulum-v1", gsde=True, mode="subproc"),
        Case("DQN", "CartPole-v1", loaded=True),
        Case("DQN", "exactness/Unruly-v0", mode="subproc", normalize=True),
        Case("DQN", "exactness/Unruly-v0", mode="workers", n_envs=4),
        Case("DQN", "CartPole-v1", parameters={"n_steps": 3}),
        Case("DQN", "sb3_ext/Mock-v0", observations="images", frame_stack=2, n_envs=1),
        Case("DQN", "exactness/BitFlipping-v0", hindsight=True),
        Case("QRDQN", "exactness/Unruly-v0"),
        Case("SAC", "Pendulum-v1", normalize=True),
        Case("SAC", "Pendulum-v1", gsde=True, loaded=True),
        Case("TD3", "Pendulum-v1", noise="ornstein_uhlenbeck"),
        Case("TD3", "exactness/UnrulyBox-v0", noise="normal", n_envs=1, parameters={"train_freq": (1, "episode")}),
        Case("TQC", "InvertedPendulum-v5"),
        Case("CrossQ", "Pendulum-v1"),
    ]
    return _with_mode(cases, mode)


def list_mujoco_cases() -> list[Case]:
    """:return: cases that need MuJoCo"""
    envs = ("InvertedPendulum-v5", "Humanoid-v5")
    return [
        Case(algorithm, env, mode) for algorithm, env, mode in itertools.product(("PPO", "SAC"), envs, _LISTED_MODES)
    ]


def list_all_cases(mode: str | None = None) -> list[Case]:
    """
    :param mode: ``parallel.mode`` of all of them
    :return: the whole matrix
    """
    product = itertools.product(PARAMETERS, _LISTED_MODES, (False, True), (False, True), (False, True))
    cases = [case for parts in product for case in _combine(*parts)]
    mujoco = [
        Case(algorithm, env, mode)
        for algorithm, env, mode in itertools.product(("PPO", "SAC"), ("Hopper-v5", "Humanoid-v5"), _LISTED_MODES)
    ]
    return _with_mode([*list_quick_cases(), *mujoco, *cases], mode)


def _with_mode(cases: list[Case], mode: str | None) -> list[Case]:
    changed = cases if mode is None else [dataclasses.replace(case, mode=mode) for case in cases]
    return list({case.name: case for case in changed}.values())


def _combine(algorithm: str, mode: str, normalize: bool, stack: bool, loaded: bool) -> Iterator[Case]:
    base = Case(algorithm, "", mode, normalize=normalize, frame_stack=3 if stack else None, loaded=loaded)
    if algorithm == "MaskablePPO":
        yield dataclasses.replace(base, env="sb3_ext/Mock-v0")
        return
    if algorithm not in WITHOUT_DISCRETE:
        yield dataclasses.replace(base, env="CartPole-v1")
        yield dataclasses.replace(base, env="exactness/Unruly-v0")
    if algorithm not in WITHOUT_CONTINUOUS:
        yield dataclasses.replace(base, env="Pendulum-v1")
        if algorithm in WITH_GSDE:
            yield dataclasses.replace(base, env="Pendulum-v1", gsde=True)
        if algorithm in WITHOUT_DISCRETE:
            yield dataclasses.replace(base, env="exactness/UnrulyBox-v0", noise="ornstein_uhlenbeck")
            yield dataclasses.replace(base, env="Pendulum-v1", noise="normal")
