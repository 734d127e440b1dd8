from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sb3_ext_envs.connect4 import connect4_v0

with warnings.catch_warnings():
    # PettingZoo's own tests import its games in a deprecated way.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, seed_test


@pytest.mark.filterwarnings("ignore::UserWarning")  # remarks of the test's own on arrays that are not 2- or 3-channel
@pytest.mark.parametrize("params", [{}, {"rows": 3, "cols": 4, "in_a_row": 3}])
def test_pettingzoos_own_tests_pass(params: dict[str, Any]) -> None:
    api_test(connect4_v0.env(**params), num_cycles=200)
    seed_test(lambda: connect4_v0.env(**params), num_cycles=20)


def play_moves(env: Any, moves: str) -> Any:
    env.reset()
    for move in moves:
        env.step(int(move))
    return env


@pytest.mark.parametrize(
    ("moves", "rewards"),
    [
        ("0101010", {"player_0": 1, "player_1": -1}),
        ("06061626", {"player_0": -1, "player_1": 1}),
        ("043450046126602110266233423241535503161455", {"player_0": -1, "player_1": 1}),
        ("062600630412502111336032142154456536543452", {"player_0": 0, "player_1": 0}),
    ],
)
def test_rewards_at_the_end_of_a_game(moves: str, rewards: dict[str, float]) -> None:
    env = play_moves(connect4_v0.env(), moves[:-1])
    assert not any(env.terminations.values())
    assert not any(env.rewards.values())

    env.step(int(moves[-1]))

    assert env.terminations == {"player_0": True, "player_1": True}
    assert env.rewards == rewards


def test_observations_begin_with_own_stones_and_only_the_player_to_move_has_legal_moves() -> None:
    env = play_moves(connect4_v0.env(rows=2, cols=3, in_a_row=3), "00")
    first, second = env.observe("player_0"), env.observe("player_1")

    assert first["observation"].tolist() == [[[0, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 0, 0]]]
    assert second["observation"].tolist() == first["observation"].tolist()[::-1]
    assert (first["action_mask"].tolist(), second["action_mask"].tolist()) == ([0, 1, 1], [0, 0, 0])


def test_an_illegal_move_loses() -> None:
    env = play_moves(connect4_v0.env(rows=2, cols=3, in_a_row=3), "000")

    assert env.rewards["player_0"] == -1
    assert all(env.terminations.values())


def test_rendering() -> None:
    text = play_moves(connect4_v0.env(rows=2, cols=3, in_a_row=3, render_mode="ansi"), "01")
    picture = play_moves(connect4_v0.env(render_mode="rgb_array"), "01")

    assert text.render() == ". . .\nX O .\n0 1 2"
    assert picture.render().shape == (288, 336, 3)
    assert picture.render().dtype == np.uint8


def test_without_pettingzoo_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['pettingzoo'] = None; import sb3_ext_envs.connect4.connect4_v0"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "connect4_v0 needs PettingZoo: pip install 'sb3-ext[pettingzoo]'" in result.stderr
