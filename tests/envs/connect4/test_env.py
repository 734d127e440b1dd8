from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
import sb3_ext_envs  # noqa: F401 (registers)
from gymnasium.utils.env_checker import check_env as check_with_gymnasium
from sb3_contrib import MaskablePPO
from sb3_ext_envs.connect4.env import Connect4Env
from stable_baselines3.common.env_checker import check_env as check_with_sb3

WINNING_COLUMN = 3


def play_first_legal(observation: Any, legal: Any) -> int:
    return int(legal.argmax())


def play_last_legal(observation: Any, legal: Any) -> int:
    return int(np.flatnonzero(legal)[-1])


def make_env(**params: Any) -> Connect4Env:
    env = gymnasium.make("sb3_ext/Connect4-v0", disable_env_checker=True, **params).unwrapped
    assert isinstance(env, Connect4Env)
    return env


@pytest.mark.filterwarnings("ignore:It seems that your observation  is an image:UserWarning")  # so look three axes
@pytest.mark.filterwarnings("ignore:The minimal resolution for an image:UserWarning")
@pytest.mark.filterwarnings("ignore:It seems that your observation space  is an image:UserWarning")
@pytest.mark.parametrize("params", [{}, {"rows": 3, "cols": 4, "in_a_row": 3}, {"start": "opponent_first"}])
def test_passes_the_checks_of_gymnasium_and_sb3(params: dict[str, Any]) -> None:
    check_with_gymnasium(make_env(**params), skip_render_check=True)
    check_with_sb3(make_env(**params))


def test_a_game_won() -> None:
    env = make_env(opponent=play_last_legal, start="agent_first")
    observation, info = env.reset()
    steps = [env.step(0) for _ in range(4)]

    assert not observation.any()
    assert info["action_mask"].tolist() == [1] * 7
    assert [(reward, is_over) for _, reward, is_over, _, _ in steps] == [(0, False)] * 3 + [(1, True)]
    last = steps[-1][0]
    assert last[0, 2:, 0].tolist() == [1, 1, 1, 1]
    assert last[1, 3:, 6].tolist() == [1, 1, 1]


def test_a_game_lost_by_the_opponents_answer() -> None:
    env = make_env(opponent=play_last_legal, start="opponent_first")
    observation, _ = env.reset()
    steps = [env.step(action) for action in (0, 1, 0)]

    assert observation[1, 5, 6] == 1
    assert observation.sum() == 1
    assert [(reward, is_over) for _, reward, is_over, _, _ in steps] == [(0, False)] * 2 + [(-1, True)]


def test_a_draw_on_a_board_too_small_for_a_line() -> None:
    env = make_env(rows=2, cols=3, in_a_row=3, opponent=play_last_legal, start="agent_first")
    env.reset()
    steps = [env.step(action) for action in (2, 0, 1)]

    assert [(reward, is_over) for _, reward, is_over, _, _ in steps] == [(0, False)] * 2 + [(0, True)]


@pytest.mark.parametrize("start", ["agent_first", "opponent_first"])
def test_an_illegal_move_loses(start: Any) -> None:
    env = make_env(rows=2, cols=5, in_a_row=5, opponent=play_first_legal, start=start)
    env.reset()
    steps = [env.step(0) for _ in range(2)]

    _, reward, is_over, _, info = next(step for step in steps if step[2])
    assert (reward, is_over, info["illegal_move"]) == (-1, True, True)
    assert not env.action_masks()[0]


def test_the_seed_determines_which_player_starts() -> None:
    env = make_env()
    stones = [int(env.reset(seed=seed)[0].sum()) for seed in range(40)]

    assert set(stones) == {0, 1}
    assert [int(env.reset(seed=seed)[0].sum()) for seed in range(40)] == stones


def test_a_copy_and_a_pickle_continue_identically() -> None:
    env = make_env()
    env.reset(seed=3)
    env.step(3)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    following = [env.step(action)[0].tolist() for action in (2, 4)]

    assert [[other.step(action)[0].tolist() for action in (2, 4)] for other in copies] == [following] * 2


@pytest.mark.parametrize(("rows", "cols"), [(1, 2), (2, 1), (1, 3)])
def test_on_the_smallest_boards_the_agent_always_has_a_move(rows: int, cols: int) -> None:
    env = make_env(rows=rows, cols=cols, in_a_row=2, start="opponent_first")
    for seed in range(5):
        _, info = env.reset(seed=seed)
        is_over = False
        assert info["action_mask"].any()
        while not is_over:
            _, _, is_over, _, info = env.step(int(info["action_mask"].argmax()))


def test_rendering() -> None:
    text, picture = (make_env(render_mode=mode, start="agent_first") for mode in ("ansi", "rgb_array"))
    for env in (text, picture):
        env.reset(seed=0)
        env.step(WINNING_COLUMN)

    assert text.render().count("X") == text.render().count("O") == 1
    image = picture.render()
    assert image.shape == (6 * 48, 7 * 48, 3)
    assert image.dtype == np.uint8
    centres = image[24::48, 24::48].reshape(-1, 3)
    assert len(np.unique(centres, axis=0)) == 3
    assert image[5 * 48 + 24, 3 * 48 + 24].tolist() == [220, 50, 47]
    assert make_env().render() is None


def test_a_maskable_agent_learns_in_it() -> None:
    model = MaskablePPO("MlpPolicy", make_env(rows=3, cols=4, in_a_row=3), n_steps=32, batch_size=16, n_epochs=1)
    model.learn(64)

    assert model.num_timesteps == 64


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "me"}, "start must be one of random, agent_first, opponent_first, but got 'me'"),
        ({"rows": 0}, "rows must be from 1 to 60, but got 0"),
        ({"opponent": "smart"}, "opponent must be 'random' or 'module:function', but got 'smart'"),
        ({"opponent": "numpy:nothing"}, "opponent must be 'random' or 'module:function', but got 'numpy:nothing'"),
        ({"opponent": 3}, "opponent must be 'random', 'module:function' or a function, but got 3"),
    ],
)
def test_invalid_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_env(**params)


def test_an_illegal_move_of_the_opponent_is_an_error_with_the_board() -> None:
    env = make_env(rows=2, cols=3, in_a_row=3, opponent=lambda observation, legal: 0, start="agent_first")
    env.reset()
    env.step(1)

    with pytest.raises(ValueError, match=r"the opponent made the illegal move 0:\nX \. \.\nO X \.\n0 1 2"):
        env.step(0)
