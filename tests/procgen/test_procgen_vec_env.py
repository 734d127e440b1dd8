"""All games in one ``VecEnv``."""

from __future__ import annotations

import numpy as np
import pytest
from sb3_ext_envs.procgen import ProcgenEnv
from sb3_ext_envs.procgen_vec_env import ProcgenVecEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from sb3_ext.vec.snapshots.exactness import self_test
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

pytestmark = pytest.mark.procgen


def make(
    num_envs: int = 4, game: str = "dodgeball", num_threads: int | None = None, **options: object
) -> ProcgenVecEnv:
    return ProcgenVecEnv(num_envs, game, num_threads=num_threads, **{"distribution_mode": "easy", **options})


def draw_actions(num_envs: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(15, size=(steps, num_envs))


def test_a_single_game_is_the_same_as_the_gymnasium_environment_to_the_last_bit() -> None:
    native = make(1)
    single = DummyVecEnv([lambda: ProcgenEnv("dodgeball", "easy")])
    for env in (native, single):
        env.seed(5)
    assert np.array_equal(native.reset(), single.reset())
    assert native.reset_infos == single.reset_infos

    episodes = 0
    for action in draw_actions(1, 500):
        found, wanted = native.step(action), single.step(action)
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found[:3], wanted[:3], strict=True))
        if wanted[2][0]:
            episodes += 1
            ours, theirs = found[3][0], wanted[3][0]
            assert np.array_equal(ours.pop("terminal_observation"), theirs.pop("terminal_observation"))
            assert theirs.pop("TimeLimit.truncated") is False
            assert ours == theirs
    assert episodes > 2
    native.close()
    single.close()


@pytest.mark.parametrize("num_threads", [0, 3])
def test_a_seed_determines_everything_whatever_the_number_of_threads(num_threads: int) -> None:
    first, second = make(num_threads=1), make(num_threads=num_threads)
    for env in (first, second):
        env.seed(7)
    assert np.array_equal(first.reset(), second.reset())
    for actions in draw_actions(4, 200):
        ours, theirs = first.step(actions), second.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(ours[:3], theirs[:3], strict=True))
    first.seed(8)
    assert not np.array_equal(first.reset(), second.reset())
    first.close()
    second.close()


def test_what_was_returned_does_not_change_afterwards() -> None:
    env = make()
    env.reset()
    kept = env.step(np.full(4, 7))
    copies = [np.copy(part) for part in kept[:3]]
    for actions in draw_actions(4, 20):
        env.step(actions)

    assert all(np.array_equal(part, copy) for part, copy in zip(kept[:3], copies, strict=True))
    env.close()


def test_a_reset_without_a_seed_begins_other_episodes() -> None:
    env = make()
    env.seed(3)
    first = env.reset()
    env.step(np.full(4, 7))
    levels = env.reset_infos
    second = env.reset()

    assert not any(np.array_equal(first[place], second[place]) for place in range(4))
    assert all(info != before for info, before in zip(env.reset_infos, levels, strict=True))
    env.close()


def test_snapshots_are_exact_with_wrappers() -> None:
    def make_wrapped() -> VecNormalize:
        return VecNormalize(VecFrameStack(VecMonitor(make()), 2), norm_obs=False)

    found = self_test(make_wrapped, steps=200)

    assert found.exact, found.reason


def test_a_snapshot_does_not_fit_another_number_of_games() -> None:
    few, many = make(2), make(3)
    few.reset()
    with pytest.raises(Exception, match="the snapshot is of 2 games, but there are 3"):
        set_vec_snapshot(many, get_vec_snapshot(few))
    few.close()
    many.close()


def test_large_pictures_need_a_render_mode() -> None:
    env = make(2, render_mode="rgb_array")
    env.reset()
    assert [image.shape for image in env.get_images()] == [(512, 512, 3)] * 2
    assert env.render("rgb_array").shape == (1024, 512, 3)
    assert env.get_attr("metadata")[0]["render_fps"] == 15
    env.close()


def test_single_games_have_no_methods_and_attributes() -> None:
    env = make(2)
    assert not env.has_attr("action_masks")
    assert env.env_is_wrapped(VecMonitor) == [False, False]
    with pytest.raises(AttributeError, match="no methods of their own, such as 'reset'"):
        env.env_method("reset")
    with pytest.raises(AttributeError, match="no attributes of their own, such as 'num_levels'"):
        env.set_attr("num_levels", 3)
    env.close()
