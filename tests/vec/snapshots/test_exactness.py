from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.utils import EzPickle
from stable_baselines3.common.monitor import Monitor

from sb3_ext.interruption import Interruption, StopRequested
from sb3_ext.vec.global_random import get_global_random_state
from sb3_ext.vec.snapshots.exactness import self_test

classic_ids = [
    env_id
    for env_id, spec in gymnasium.registry.items()
    if str(spec.entry_point).startswith(("gymnasium.envs.classic_control", "gymnasium.envs.toy_text"))
]


class CountingEnv(gymnasium.Env[Any, Any]):
    """Observes its number of steps; the reward is drawn from several sources of randomness."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float64)

    def __init__(self) -> None:
        self.action_space = spaces.Discrete(3)
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.length = self.steps + int(self.np_random.integers(5, 30))
        return np.array([self.steps], float), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        reward = random.random() + np.random.random() + self.action_space.sample() + self.np_random.random()
        return np.array([self.steps], float), float(reward), self.steps >= self.length, False, {}


class EzPickledEnv(CountingEnv, EzPickle):
    def __init__(self) -> None:
        EzPickle.__init__(self)
        CountingEnv.__init__(self)


class ProtocolEnv(EzPickledEnv):
    def state_dict(self) -> tuple[int, int]:
        return self.steps, self.length

    def load_state_dict(self, snapshot: tuple[int, int]) -> None:
        self.steps, self.length = snapshot


class ForgetfulEnv(ProtocolEnv):
    def load_state_dict(self, snapshot: tuple[int, int]) -> None:
        self.steps = snapshot[0]


class CarelessEnv(ProtocolEnv):
    def load_state_dict(self, snapshot: tuple[int, int]) -> None:
        self.steps, self.length = 0, snapshot[1]


class RaisingEnv(ProtocolEnv):
    def state_dict(self) -> tuple[int, int]:
        raise RuntimeError("not today")


class UnrestorableEnv(ProtocolEnv):
    def load_state_dict(self, snapshot: tuple[int, int]) -> None:
        raise RuntimeError("not ever")


class LargeEnv(CountingEnv):
    def __init__(self) -> None:
        super().__init__()
        self.table = np.zeros(2**27, np.int8)


class HiddenStateEnv(CountingEnv):
    """Keeps its state where no snapshot finds it: in a generator's frame."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = (number for number in range(10**6))


class TrulyPickledEnv(HiddenStateEnv):
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "secret"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class ClosureEnv(CountingEnv):
    def __init__(self) -> None:
        super().__init__()
        count = [0]

        def advance() -> int:
            count[0] += 1
            return count[0]

        self.advance = advance

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps = self.advance()
        return super().step(action)


class MaskedEnv(CountingEnv):
    def action_masks(self) -> np.ndarray:
        return np.arange(3) == self.steps % 3

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if action != self.steps % 3:
            raise ValueError(f"illegal action {action}")
        return super().step(action)


@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize("env_id", classic_ids)
def test_classic_control_and_toy_text_are_exact(env_id: str) -> None:
    exactness = self_test(lambda: gymnasium.make(env_id))
    assert exactness.exact, exactness.reason


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v5", "HalfCheetah-v5", "Ant-v5", "Humanoid-v5", "Pusher-v5"])
def test_mujoco_is_exact(env_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where it writes MUJOCO_LOG.TXT
    exactness = self_test(lambda: gymnasium.make(env_id))
    assert exactness.exact, exactness.reason


@pytest.mark.parametrize("env_class", [CountingEnv, ProtocolEnv, TrulyPickledEnv, MaskedEnv])
def test_environment_is_exact(env_class: type[gymnasium.Env[Any, Any]]) -> None:
    exactness = self_test(lambda: Monitor(gymnasium.wrappers.TimeLimit(env_class(), 20)))
    assert exactness.exact, exactness.reason


@pytest.mark.parametrize(
    ("env_class", "reason"),
    [
        (EzPickledEnv, "EzPickledEnv inherits EzPickle"),
        (ForgetfulEnv, "failed 0 steps after it was restored: AttributeError"),
        (CarelessEnv, "diverged 0 steps"),
        (RaisingEnv, "RaisingEnv cannot be saved: not today"),
        (UnrestorableEnv, "cannot be restored: not ever"),
        (LargeEnv, "takes 128 MiB, more than 64: give it state_dict()"),
        (HiddenStateEnv, "HiddenStateEnv.secret cannot be saved"),
        (ClosureEnv, "diverged 0 steps"),
    ],
)
def test_environment_is_not_exact(env_class: type[gymnasium.Env[Any, Any]], reason: str) -> None:
    exactness = self_test(env_class)
    assert not exactness.exact
    assert reason in exactness.reason


def test_box2d_is_not_exact() -> None:
    assert "LunarLander inherits EzPickle" in self_test(lambda: gymnasium.make("LunarLander-v3")).reason


def test_self_test_restores_the_global_random_state() -> None:
    before = get_global_random_state()
    self_test(CountingEnv)
    after = get_global_random_state()
    assert after.python == before.python
    assert after.numpy["state"]["pos"] == before.numpy["state"]["pos"]
    np.testing.assert_array_equal(after.numpy["state"]["key"], before.numpy["state"]["key"])


class SlowEnv(CartPoleEnv):
    closed = 0

    def step(self, action: Any) -> Any:
        time.sleep(0.02)
        return super().step(action)

    def close(self) -> None:
        type(self).closed += 1
        super().close()


def test_a_slow_environment_is_stepped_less_often() -> None:
    found = self_test(SlowEnv, max_seconds=0.15)
    assert found.exact
    assert 1 <= int(found.reason.split()[0]) <= 4


def test_an_interruption_ends_it_and_closes_the_environments() -> None:
    SlowEnv.closed = 0
    reasons = iter([None, None, "stop file"])
    with pytest.raises(StopRequested, match="stop file"):
        self_test(SlowEnv, interruption=Interruption(lambda: next(reasons)))
    assert SlowEnv.closed == 2
