from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.utils import EzPickle
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from global_noise_env import GlobalNoiseEnv
from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.mask_method import MaskMethod
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:The environment is already wrapped with a `Monitor`")

MakeVecEnv = Callable[..., VecEnv]


class MaskedEnv(GlobalNoiseEnv):
    def find_legal(self, env: Any) -> np.ndarray:
        return np.array([True, False])


class EzNoiseEnv(GlobalNoiseEnv, EzPickle):
    def __init__(self) -> None:
        EzPickle.__init__(self)


class EzPickledCartPole(CartPoleEnv, EzPickle):
    pass


class SelfSavingVecEnv(DummyVecEnv):
    def state_dict(self) -> dict[str, Any]:
        return {"position": float(self.envs[0].unwrapped.state[0])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.restored = state["position"]


class OutdatedEnv(GlobalNoiseEnv):
    def get_snapshot(self) -> int:
        return 1

    def set_snapshot(self, snapshot: int) -> None:
        raise AssertionError("called")


@pytest.fixture
def make_venv() -> Iterator[MakeVecEnv]:
    made = []

    def make(env: Any = "CartPole-v1", kind: type[VecEnv] = DummyVecEnv, wrap: bool = True, n_envs: int = 2) -> VecEnv:
        wrapper = SnapshotWrapper if wrap and issubclass(kind, SubprocVecEnv) else None
        made.append(make_vec_env(env, n_envs, vec_env_cls=kind, wrapper_class=wrapper))
        return made[-1]

    yield make
    for venv in made:
        venv.close()


def wrap_all(venv: VecEnv) -> VecEnv:
    return VecFrameStack(VecNormalize(VecMonitor(venv)), 3)


def walk_venv(venv: VecEnv, steps: int, seed: int) -> list[Any]:
    actions = np.random.default_rng(seed).integers(0, 2, (steps, venv.num_envs))
    results = []
    for action in actions:
        observations, rewards, dones, infos = venv.step(action)
        episodes = [(info["episode"]["r"], info["episode"]["l"]) for info in infos if "episode" in info]
        results.append((observations.tolist(), rewards.tolist(), dones.tolist(), episodes))
    return results


def round_rewards(results: list[Any]) -> list[Any]:
    """With NumPy 1, VecNormalize scales the rewards of DummyVecEnv with 32 bits, those of SubprocVecEnv with 64."""
    return [(observations, np.round(rewards, 6).tolist(), *rest) for observations, rewards, *rest in results]


@pytest.mark.parametrize("env", ["CartPole-v1", GlobalNoiseEnv])
@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_restored_environments_continue_exactly(make_venv: MakeVecEnv, kind: type[VecEnv], env: Any) -> None:
    original, restored = (wrap_all(make_venv(env, kind)) for _ in range(2))
    original.seed(1)
    original.reset()
    walk_venv(original, 30, seed=1)
    snapshot = get_vec_snapshot(original)
    random_state = np.random.get_state()
    expected = walk_venv(original, 60, seed=2)
    restored.reset()
    walk_venv(restored, 10, seed=3)
    set_vec_snapshot(restored, snapshot)
    np.random.set_state(random_state)
    assert walk_venv(restored, 60, seed=2) == expected
    assert any(done for _, _, dones, _ in expected for done in dones)


def test_a_restored_action_space_is_the_same_object(make_venv: MakeVecEnv) -> None:
    venv = make_venv()
    action_space = venv.action_space
    action_space.seed(3)
    snapshot = get_vec_snapshot(venv)
    expected = [action_space.sample() for _ in range(20)]
    set_vec_snapshot(venv, snapshot)
    assert venv.action_space is action_space
    assert venv.envs[0].action_space is action_space
    assert [action_space.sample() for _ in range(20)] == expected


def test_a_snapshot_is_not_changed_by_later_steps(make_venv: MakeVecEnv) -> None:
    venv = wrap_all(make_venv())
    venv.reset()
    snapshot = get_vec_snapshot(venv)
    first = walk_venv(venv, 40, seed=1)
    set_vec_snapshot(venv, snapshot)
    assert walk_venv(venv, 40, seed=1) == first


def test_a_mask_function_stays_where_the_snapshot_has_a_bound_method(make_venv: MakeVecEnv) -> None:
    def mask(method: Any) -> Callable[[], gymnasium.Env[Any, Any]]:
        return lambda: ActionMasker(MaskedEnv(), method)

    venv = make_venv(mask("find_legal"))
    restored = make_venv(mask(MaskMethod("find_legal")))
    venv.reset()
    set_vec_snapshot(restored, get_vec_snapshot(venv))
    assert [list(masks) for masks in restored.env_method("action_masks")] == [[True, False]] * 2


def test_the_error_without_the_wrapper_says_what_to_do(make_venv: MakeVecEnv) -> None:
    with pytest.raises(SnapshotError, match="SubprocVecEnv cannot be saved; wrap its environments in SnapshotWrapper"):
        get_vec_snapshot(make_venv(kind=SubprocVecEnv, wrap=False))


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_ez_pickle_is_refused_and_the_worker_survives(make_venv: MakeVecEnv, kind: type[VecEnv]) -> None:
    venv = make_venv(EzNoiseEnv, kind)
    with pytest.raises(SnapshotError, match="EzNoiseEnv inherits EzPickle"):
        get_vec_snapshot(venv)
    assert venv.reset().shape == (2, 2)


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_another_environment_is_refused(make_venv: MakeVecEnv, kind: type[VecEnv]) -> None:
    snapshot = get_vec_snapshot(make_venv("CartPole-v1", kind))
    other = make_venv("MountainCar-v0", kind)
    with pytest.raises(
        SnapshotError, match=r"the snapshot is of .*CartPoleEnv.*, but the environment is .*MountainCarEnv"
    ):
        set_vec_snapshot(other, snapshot)
    assert other.reset().shape == (2, 2)


def test_another_number_of_environments_is_refused(make_venv: MakeVecEnv) -> None:
    snapshot = get_vec_snapshot(make_venv(n_envs=2))
    for kind in (DummyVecEnv, SubprocVecEnv, WorkerVecEnv):
        with pytest.raises(SnapshotError, match="the snapshot is of 2 environments, but there are 3"):
            set_vec_snapshot(make_venv(kind=kind, n_envs=3), snapshot)


def test_environments_continue_in_any_other_kind_of_vec_env(make_venv: MakeVecEnv) -> None:
    def make(kind: type[VecEnv], **keywords: Any) -> VecEnv:
        wrapper = SnapshotWrapper if kind is SubprocVecEnv else None
        venv = make_vec_env("CartPole-v1", 4, vec_env_cls=kind, vec_env_kwargs=keywords, wrapper_class=wrapper)
        return wrap_all(venv)

    kinds = [lambda: make(DummyVecEnv), lambda: make(SubprocVecEnv)]
    kinds += [lambda: make(WorkerVecEnv, num_workers=2), lambda: make(WorkerVecEnv, num_workers=4)]
    venvs = [kind() for kind in kinds]
    try:
        venvs[0].seed(1)
        venvs[0].reset()
        walk_venv(venvs[0], 30, seed=1)
        snapshot = get_vec_snapshot(venvs[0])
        expected = [round_rewards(walk_venv(venvs[0], 30, seed=seed)) for seed in (2, 3)]
        for venv in venvs[1:]:
            venv.reset()
            assert not set_vec_snapshot(venv, snapshot)
            assert round_rewards(walk_venv(venv, 30, seed=2)) == expected[0]
        snapshots = [get_vec_snapshot(venv) for venv in venvs[1:]]
        for venv, other in zip(venvs, [*snapshots[1:], *snapshots], strict=False):
            set_vec_snapshot(venv, other)
            assert round_rewards(walk_venv(venv, 30, seed=3)) == expected[1]
    finally:
        for venv in venvs:
            venv.close()


def test_generators_of_processes_are_restored_only_with_the_same_environments_in_each(make_venv: MakeVecEnv) -> None:
    venvs = [make_venv(GlobalNoiseEnv, WorkerVecEnv), make_venv(GlobalNoiseEnv, WorkerVecEnv)]
    snapshot = get_vec_snapshot(venvs[0])
    assert set_vec_snapshot(venvs[1], snapshot)
    assert not set_vec_snapshot(make_venv(GlobalNoiseEnv), snapshot)


def test_a_vec_env_with_state_dict_saves_all_its_environments(make_venv: MakeVecEnv) -> None:
    venv = VecMonitor(make_venv(EzPickledCartPole, SelfSavingVecEnv))
    venv.reset()
    position = float(venv.unwrapped.envs[0].unwrapped.state[0])
    set_vec_snapshot(venv, get_vec_snapshot(venv))
    assert venv.unwrapped.restored == position


def test_methods_of_version_0_1_are_named_instead_of_ignored(make_venv: MakeVecEnv) -> None:
    message = (
        r"rename get_snapshot\(\) and set_snapshot\(\) of OutdatedEnv to state_dict\(\) and load_state_dict\(state\)"
    )
    with pytest.raises(SnapshotError, match=message):
        get_vec_snapshot(make_venv(OutdatedEnv))
