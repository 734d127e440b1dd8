"""Random positions with known results, and the share of right moves in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.frozen_opponent import freeze_model
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.opponents.perfect import PerfectOpponent
from sb3_ext.selfplay.positions import position_draw
from sb3_ext.selfplay.positions.move_quality import MoveQuality, measure_moves
from sb3_ext.selfplay.positions.position_draw import provide_positions
from sb3_ext.selfplay.positions.position_exam import PositionExam
from sb3_ext.selfplay.positions.position_set import PositionSet, compute_difficulties, compute_phases
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.selfplay.solvers.game_table import TableSolver, make_game_table
from sb3_ext.selfplay.solvers.search_solver import SearchSolver
from sb3_ext.selfplay.solvers.solution import Solution

MakeToy = Callable[..., Any]
SIZE = {"rows": 3, "cols": 4, "in_a_row": 3}


class CountingSolver:
    """A table that counts how many positions it is asked for."""

    name, is_exact = "counting", True

    def __init__(self, game: Game) -> None:
        self.table = TableSolver(make_game_table(game, 10_000))
        self.asked = 0

    def solve(self, game: Game, boards: Boards) -> Solution:
        self.asked += len(boards)
        return self.table.solve(game, boards)


@pytest.fixture(scope="module")
def solver() -> CountingSolver:
    return CountingSolver(Connect4(1, **SIZE))


@pytest.fixture(scope="module")
def positions(solver: CountingSolver) -> PositionSet:
    return provide_positions(Connect4(1, **SIZE), solver, 10, seed=3)


def test_phases_and_difficulties_of_connect4_are_those_of_pons() -> None:
    stones = np.array([0, 14, 15, 28, 29, 41])
    assert compute_phases(stones, 42).tolist() == [0, 0, 1, 1, 2, 2]
    plies = np.array([1, 13, 14, 27, 28, 42])
    assert compute_difficulties(plies, 42).tolist() == [0, 0, 1, 1, 2, 2]


def test_positions_of_each_cell_are_balanced_by_whether_the_choice_matters(positions: PositionSet) -> None:
    game = positions.place(Connect4(1, **SIZE))
    assert isinstance(game, Connect4)
    stones = game.rules.plies
    assert np.array_equal(stones, (positions.lines >= 0).sum(axis=1))
    assert positions.longest_plies == 12
    assert len({game.render(board) for board in range(len(positions))}) == len(positions)  # no two are the same
    left = positions.solution.plies_left
    sizes = {}
    for phase, (low, high) in enumerate(((0, 4), (5, 8), (9, 11))):
        for difficulty, (least, most) in enumerate(((1, 3), (4, 7), (8, 12))):
            chosen = (positions.phases == phase) & (positions.difficulties == difficulty)
            assert ((low <= stones[chosen]) & (stones[chosen] <= high)).all()
            assert ((least <= left[chosen]) & (left[chosen] <= most)).all()
            has_choice = positions.solution.has_choice[chosen]
            wins_at_once = has_choice & (left[chosen] == 1)
            sizes[phase, difficulty] = (int((~has_choice).sum()), int(wins_at_once.sum()), int(has_choice.sum()))
    assert sizes[1, 0] == (5, 2, 5)
    assert sizes[1, 1] == sizes[0, 1] == sizes[0, 2] == (5, 0, 5)
    assert sizes[1, 2] == sizes[2, 1] == sizes[2, 2] == (0, 0, 0)  # too few moves are left


def test_the_same_seed_gives_the_same_positions_and_solves_them_once(
    solver: CountingSolver, positions: PositionSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked = solver.asked
    again = provide_positions(Connect4(7, **SIZE), solver, 10, seed=3)
    assert solver.asked == asked
    assert caplog.text == ""
    for name in ("lines", "values", "plies"):
        assert np.array_equal(getattr(again, name), getattr(positions, name))
    other = provide_positions(Connect4(1, **SIZE), solver, 10, seed=4)
    assert solver.asked > asked
    assert not np.array_equal(other.lines, positions.lines)
    assert "later commands reuse them" in caplog.text


def test_a_small_game_is_used_completely(solver: CountingSolver, monkeypatch: pytest.MonkeyPatch) -> None:
    game = Connect4(1, **SIZE)
    everything = provide_positions(game, solver.table, 10, seed=3)
    assert everything.is_complete
    assert len(everything) == len(solver.table.table)
    assert everything.describe() == "4,631 positions (all; all positions solved)"
    assert measure_moves(everything, game, PerfectOpponent()).total.overall == 1.0
    monkeypatch.setattr(position_draw, "_LARGEST_COMPLETE", 100)
    assert not provide_positions(game, solver.table, 2, seed=3).is_complete


def test_results_of_a_search_are_labelled(make_toy: MakeToy) -> None:
    found = provide_positions(make_toy(), SearchSolver(2), 4, seed=0)
    assert not found.is_exact
    assert "depth-limited search, 2 plies: results are not proven" in found.describe()
    assert found.longest_plies == 9  # of random games


def test_a_random_player_finds_as_many_right_moves_as_there_are(positions: PositionSet) -> None:
    game = Connect4(1, **SIZE)
    shares = [measure_moves(positions, game, RandomOpponent(seed)).total.overall for seed in range(20)]
    right, legal = positions.solution.right_moves, positions.values > -2
    expected = (right.sum(axis=1) / legal.sum(axis=1)).mean()
    assert np.mean(shares) == pytest.approx(expected, abs=0.03)


def make_quality(moves: list[int]) -> MoveQuality:
    """Three tic-tac-toe positions: a win that can be missed, a draw that can be lost, and no choice."""
    lines = [[0, 3, 1, 4], [0, 4, 8], [0, 1, 4]]
    padded = np.array([[*line, *[-1] * (9 - len(line))] for line in lines], np.int16)
    values = np.full((3, 9), -2, np.int8)
    plies = np.ones((3, 9), np.int16)
    values[0, [2, 5, 6, 7, 8]] = [1, 0, -1, -1, -1]
    plies[0, [5, 6, 7, 8]] = [5, 2, 2, 2]
    values[1, [1, 2, 3, 5, 6, 7]] = [0, -1, 0, 0, -1, 0]
    plies[1, [1, 2, 3, 5, 6, 7]] = [6, 4, 6, 6, 4, 6]
    values[2, [2, 3, 5, 6, 7, 8]] = -1
    return MoveQuality(PositionSet("by hand", True, False, 9, padded, values, plies), np.array(moves))


def test_shares_are_counted_by_phase_and_difficulty() -> None:
    quality = make_quality([5, 1, 2])
    assert quality.is_right.tolist() == [False, True, True]
    assert quality.total == (3, 2, 2, 1)
    assert quality.by_cell == {"early easy": (1, 1, 0, 0), "early hard": (1, 1, 1, 1), "middle easy": (1, 0, 1, 0)}
    content = json.loads(json.dumps(quality.to_json(), allow_nan=False))
    assert (content["share"], content["share_where_it_matters"]) == (2 / 3, 0.5)
    assert content["cells"]["early easy"]["share_where_it_matters"] is None


def test_the_worst_mistakes_come_first(make_toy: MakeToy) -> None:
    worst = make_quality([6, 2, 2]).find_worst(make_toy(), 5)
    assert [(mistake.move, mistake.result, mistake.plies, mistake.best_result) for mistake in worst] == [
        (6, "loss", 2, "win"),
        (2, "loss", 4, "draw"),
    ]
    assert worst[0].board == "XX.\nOO.\n..."
    assert (worst[0].line, worst[0].mover, worst[0].right_moves) == ([0, 3, 1, 4], 0, [2])
    assert (worst[1].mover, worst[1].right_moves) == (1, [1, 3, 5, 7])
    assert make_quality([2, 1, 2]).find_worst(make_toy(), 5) == []
    assert len(make_quality([6, 2, 2]).find_worst(make_toy(), 1)) == 1


def test_an_illegal_move_is_an_error(positions: PositionSet) -> None:
    player = FunctionOpponent(lambda observations, legal: legal.argmin(axis=1), "cheat")
    with pytest.raises(SelfPlayError, match="'cheat' chose action"):
        measure_moves(positions, Connect4(1, **SIZE), player)


@pytest.mark.parametrize("is_normalized", [False, True])
def test_an_exam_counts_the_moves_that_the_policy_would_play(positions: PositionSet, is_normalized: bool) -> None:
    game = Connect4(8, **SIZE)
    env: Any = SelfPlayVecEnv(game, RandomOpponent(0), illegal_move="random_legal", seed=0)
    model = PPO("MlpPolicy", VecNormalize(env) if is_normalized else env, n_steps=32, n_epochs=1, seed=0)
    model.learn(256)
    exam = PositionExam(positions, game)
    quality = exam.measure(model.policy, model.get_vec_normalize_env())
    expected = measure_moves(positions, game, freeze_model(model, deterministic=True))
    assert np.array_equal(quality.actions, expected.actions)
    assert len(set(quality.actions.tolist())) > 1
