"""WorkerVecEnv gives the same results as DummyVecEnv, bit for bit."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.workers.worker_handle import WorkerHandle

OBSERVATION_SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1.0, 1.0, (3, 2), np.float32),
    "image": spaces.Box(0, 255, (8, 8, 3), np.uint8),
    "discrete": spaces.Discrete(5),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(4),
    "dict": spaces.Dict({"image": spaces.Box(0, 255, (4, 4, 1), np.uint8), "a": spaces.Box(-1, 1, (2,), np.float64)}),
    "tuple": spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))]),
}
ACTION_SPACES: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(3),
    "dict": spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-1, 1, (2,))}),
    "tuple": spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]),
}


class SampleEnv(gymnasium.Env[Any, Any]):
    """Observes samples of its space, which depend on seeds, options and actions; ends and truncates at random."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 7}  # noqa: RUF012 - as in Gymnasium

    def __init__(
        self,
        observations: str = "box",
        actions: str = "discrete",
        render_mode: str | None = None,
        shares_function: bool = False,
    ) -> None:
        self.shares_function = shares_function
        self.observation_space = copy.deepcopy(OBSERVATION_SPACES[observations])
        self.action_space = copy.deepcopy(ACTION_SPACES[actions])
        self.render_mode = render_mode
        self.level = 0
        self.received: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        if options:
            self.level = options["level"]
        self.received = []
        return self.observation_space.sample(), {"level": self.level} if self.level else {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.received.append(action)
        terminated, truncated = (bool(flag) for flag in self.np_random.random(2) < 0.15)
        info = {"noise": self.np_random.random(2)} if self.np_random.random() < 0.3 else {}
        if self.shares_function:
            info = {"function": lambda number: number + 2}
        reward = float(self.np_random.normal()) + float(np.sum(_flatten(action)))
        return self.observation_space.sample(), reward, terminated, truncated, info

    def render(self) -> np.ndarray:
        return np.full((4, 4, 3), self.level, np.uint8)

    def describe(self, first: int, *, second: int = 0) -> tuple[int, int, int]:
        return self.level, first, second

    def get_received(self) -> list[Any]:
        return self.received

    def action_masks(self) -> np.ndarray:
        return np.arange(3) != self.level


def _flatten(action: Any) -> np.ndarray:
    if isinstance(action, dict):
        action = tuple(action.values())
    return np.concatenate([np.ravel(part) for part in action]) if isinstance(action, tuple) else np.ravel(action)


MakePair = Callable[..., tuple[VecEnv, VecEnv]]


@pytest.fixture
def make_pair() -> Iterator[MakePair]:
    """WorkerVecEnv with 2 workers of 2 environments, and DummyVecEnv with the same four."""
    made: list[VecEnv] = []

    def make(env: Any = SampleEnv, seed: int = 5, **arguments: Any) -> tuple[VecEnv, VecEnv]:
        for kind, keywords in ((WorkerVecEnv, {"num_workers": 2}), (DummyVecEnv, {})):
            made.append(
                make_vec_env(env, 4, seed=seed, env_kwargs=arguments, vec_env_cls=kind, vec_env_kwargs=keywords)
            )
        return made[-2], made[-1]

    yield make
    for env in made:
        env.close()


def assert_same(found: Any, expected: Any) -> None:
    """Compares values and types."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            if key != "t":  # seconds
                assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray | np.generic):
        assert type(found) is type(expected)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected


def sample_actions(env: VecEnv, seed: int) -> Any:
    env.action_space.seed(seed)
    actions = [env.action_space.sample() for _ in range(env.num_envs)]
    return actions if isinstance(env.action_space, spaces.Dict | spaces.Tuple) else np.array(actions)


def assert_same_walk(workers: VecEnv, dummy: VecEnv, steps: int = 60) -> None:
    assert_same(workers.reset(), dummy.reset())
    assert_same(workers.reset_infos, dummy.reset_infos)
    for step in range(steps):
        actions = sample_actions(dummy, step)
        assert_same(workers.step(actions), dummy.step(actions))
        assert_same(workers.reset_infos, dummy.reset_infos)


CASES = [(name, "discrete") for name in OBSERVATION_SPACES] + [("box", name) for name in list(ACTION_SPACES)[1:]]


@pytest.mark.parametrize(("observations", "actions"), CASES)
def test_every_step_is_the_same(make_pair: MakePair, observations: str, actions: str) -> None:
    workers, dummy = make_pair(observations=observations, actions=actions)
    assert workers.observation_space == dummy.observation_space
    assert workers.action_space == dummy.action_space
    assert workers.metadata == dummy.metadata
    assert_same_walk(workers, dummy)
    assert_same(workers.env_method("get_received"), dummy.env_method("get_received"))


def test_stock_environments_are_the_same(make_pair: MakePair) -> None:
    assert_same_walk(*make_pair("CartPole-v1"), steps=200)
    assert_same_walk(*make_pair("Pendulum-v1"), steps=210)


def test_methods_and_attributes_are_the_same(make_pair: MakePair) -> None:
    workers, dummy = make_pair(render_mode="rgb_array")
    for env in (workers, dummy):
        env.set_options([{"level": level} for level in range(4)])
        env.reset()
        env.set_attr("level", 7, indices=[3])
    for ask in (
        lambda env: env.env_method("describe", 1, second=2),
        lambda env: env.env_method("describe", 1, indices=[2, 0, 3]),
        lambda env: env.env_method("action_masks", indices=1),
        lambda env: env.env_method("describe", 1, indices=-1),
        lambda env: env.get_attr("level"),
        lambda env: env.get_attr("level", indices=range(1, 3)),
        lambda env: [env.has_attr("action_masks"), env.has_attr("no_such_thing")],
        lambda env: [env.env_is_wrapped(Monitor), env.env_is_wrapped(gymnasium.wrappers.TimeLimit, indices=0)],
        lambda env: list(env.get_images()),
        lambda env: env.render(),
        lambda env: [env.render_mode, env.num_envs, env.metadata],
        lambda env: env.reset_infos,
        lambda env: [env.seed(9), env.reset(), env.reset_infos],
        lambda env: env.reset(),
    ):
        assert_same(ask(workers), ask(dummy))


def test_results_inside_wrappers_are_the_same(make_pair: MakePair) -> None:
    workers, dummy = (VecNormalize(VecFrameStack(env, 2)) for env in make_pair("Pendulum-v1"))
    assert_same_walk(workers, dummy, steps=20)


def test_masks_reach_the_algorithm(make_pair: MakePair) -> None:
    workers, dummy = make_pair()
    assert is_masking_supported(workers)
    assert_same(get_action_masks(workers), get_action_masks(dummy))


def test_results_and_actions_are_copies(make_pair: MakePair) -> None:
    workers, _ = make_pair(observations="dict", actions="box")
    observations = workers.reset()
    before = copy.deepcopy(observations)
    actions = np.ones((4, 2), np.float32)
    _, rewards, dones, _ = workers.step(actions)
    kept = rewards.copy(), dones.copy()
    actions[:] = 0.0
    workers.step(actions)
    assert_same(observations, before)
    assert_same((rewards, dones), kept)


def test_actions_of_another_kind_are_the_same(make_pair: MakePair) -> None:
    workers, dummy = make_pair()
    assert_same(workers.reset(), dummy.reset())
    for actions in ([0, 1, 2, 0], np.array([0, 1, 2, 0], np.int32), np.zeros((4, 1), np.int64)):
        assert_same(workers.step(actions), dummy.step(actions))
        assert_same(workers.env_method("get_received"), dummy.env_method("get_received"))


def test_infos_that_need_cloudpickle_are_sent(make_pair: MakePair) -> None:
    workers, _ = make_pair(shares_function=True)
    workers.reset()
    _, _, _, infos = workers.step(np.zeros(4, np.int64))
    assert [info["function"](2) for info in infos] == [4] * 4


@pytest.mark.filterwarnings("ignore:start_method='fork'")
@pytest.mark.parametrize("start_method", ["spawn", "fork"])
def test_as_many_workers_as_environments_by_other_start_methods(start_method: str) -> None:
    env = make_vec_env(
        SampleEnv, 2, seed=1, vec_env_cls=WorkerVecEnv, vec_env_kwargs={"num_workers": 2, "start_method": start_method}
    )
    other = make_vec_env(SampleEnv, 2, seed=1)
    assert_same_walk(env, other, steps=10)
    assert len(set(env.worker_pids)) == 2
    env.close()


@pytest.mark.filterwarnings("ignore:start_method='fork'")
@pytest.mark.parametrize("start_method", ["forkserver", "fork"])
def test_without_a_seed_no_two_environments_are_the_same(start_method: str) -> None:
    env = WorkerVecEnv([SampleEnv] * 3, 3, start_method=start_method)
    seeds = env.seed()
    assert len(set(seeds)) == 3
    observations = env.reset()
    assert len({observation.tobytes() for observation in observations}) == 3
    env.close()


def test_signal_handlers_run_while_waiting_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes just before ``poll`` waits does not end the wait: its handler runs when ``poll`` returns."""

    class SlowReset(SampleEnv):
        def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
            time.sleep(0.3)
            return super().reset(**arguments)

    env = WorkerVecEnv([SlowReset], num_workers=1)
    waits: list[None] = []
    monkeypatch.setattr("sb3_ext.vec.workers.worker_handle._SLICE_MILLISECONDS", 50.0)
    monkeypatch.setattr(WorkerHandle, "_compute_remaining_milliseconds", lambda self: waits.append(None))
    env.reset()
    env.close()
    assert len(waits) > 2
