"""Solvers agree with the textbook's recursion, and with each other."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sb3_ext.errors import MissingExtraError, SelfPlayError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.game_registry import make_game
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.opponents.perfect import PerfectOpponent
from sb3_ext.selfplay.solvers import solver_choice
from sb3_ext.selfplay.solvers.connect4_solver import Connect4Solver, _load_bitbully
from sb3_ext.selfplay.solvers.game_table import TableSolver, UnsolvableGame, make_game_table
from sb3_ext.selfplay.solvers.own_solver import OwnSolver
from sb3_ext.selfplay.solvers.search_solver import SearchSolver
from sb3_ext.selfplay.solvers.solution import ILLEGAL, Solver
from sb3_ext.selfplay.solvers.solver_choice import choose_solver

MakeToy = Callable[..., Any]


def solve_slowly(game: Game, board: int, known: dict[bytes, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """:return: value and plies of each legal move, by recursion to the end of the game"""
    found = {}
    for action in np.flatnonzero(game.find_legal(np.array([board]))[0]).tolist():
        child = game.branch(np.array([board]))
        player = int(child.movers[0])
        result = child.play(np.array([0]), np.array([action]))
        if result.ends[0]:
            found[action] = int(np.sign(result.rewards[0, player])), 1
            continue
        key = child.observe(np.array([0]), np.array([0])).tobytes()
        if key not in known:
            known[key] = choose_slowly(solve_slowly(child, 0, known))
        value, plies = known[key]
        found[action] = (value if int(child.movers[0]) == player else -value), plies + 1
    return found


def choose_slowly(moves: dict[int, tuple[int, int]]) -> tuple[int, int]:
    best = max(value for value, _ in moves.values())
    plies = [plies for value, plies in moves.values() if value == best]
    return best, min(plies) if best > 0 else max(plies)


def check(solver: Solver, game: Game, boards: NDArray[np.intp]) -> set[int]:
    """:return: all values that occurred"""
    solution = solver.solve(game, boards)
    known: dict[bytes, tuple[int, int]] = {}
    for row, board in enumerate(boards.tolist()):
        expected = solve_slowly(game, board, known)
        legal = np.flatnonzero(solution.values[row] != ILLEGAL).tolist()
        assert {action: (solution.values[row, action], solution.plies[row, action]) for action in legal} == expected
        value, plies = choose_slowly(expected)
        assert (solution.best_values[row], solution.plies_left[row]) == (value, plies)
        assert solution.has_choice[row] == (len({found for found, _ in expected.values()}) > 1)
        right = [action for action, (found, _) in expected.items() if found == value]
        assert np.flatnonzero(solution.right_moves[row]).tolist() == right
        best = [action for action in right if value == 0 or expected[action][1] == plies]
        assert np.flatnonzero(solution.best_moves[row]).tolist() == best
    return set(solution.values.ravel().tolist())


def play_plies(game: Game, plies: int) -> NDArray[np.intp]:
    """:return: the boards whose games are not over after some random moves"""
    boards, player = np.arange(game.num_boards), RandomOpponent(1)
    for _ in range(plies):
        boards = boards[~game.play(boards, player.act(game, boards)).ends]
    assert len(boards) >= 3
    return boards


def test_a_table_has_the_results_of_the_recursion() -> None:
    game = Connect4(40, rows=3, cols=4, in_a_row=3)
    solver = TableSolver(make_game_table(game, 5_000))
    assert check(solver, game, play_plies(game, 6)) == {ILLEGAL, -1, 0, 1}
    game.reset(np.arange(1))
    assert solver.solve(game, np.arange(1)).plies_left[0] == 9  # the first player wins with its fifth stone


@pytest.mark.parametrize(("moves_a_turn", "positions"), [(1, 4520), (2, 1869)])
def test_tic_tac_toe_has_4520_positions_before_the_end(make_toy: MakeToy, moves_a_turn: int, positions: int) -> None:
    game = make_toy(40, moves_a_turn)
    table = make_game_table(game, 10_000)
    if moves_a_turn == 1:
        assert len(table) == positions
        assert (table.values[0] == 0).all()
        assert (table.plies[0] == 9).all()
    check(TableSolver(table), game, play_plies(game, 4))


def test_lines_of_a_table_lead_to_its_positions(make_toy: MakeToy) -> None:
    table = make_game_table(make_toy(), 10_000)
    lines = table.list_lines()
    assert lines[0] == []
    assert sorted({len(line) for line in lines}) == list(range(9))
    line = lines[-1]
    game = make_toy()
    for move in line:
        game.play(np.zeros(1, int), np.array([move]))
    (row,) = TableSolver(table).solve(game, np.zeros(1, int)).values
    assert np.array_equal(row, table.values[-1])


def test_a_table_refuses_what_it_cannot_solve(make_toy: MakeToy, make_folding: MakeToy) -> None:
    class Dealt(type(make_toy())):  # type: ignore[misc]
        def reset(self, boards: Boards) -> None:
            super().reset(boards)
            self.cells[boards, boards % 2] = 0

    class Blind(type(make_toy())):  # type: ignore[misc]
        def observe(self, boards: Boards, players: Any) -> Any:
            return super().observe(boards, players) * 0 + self.cells[boards].sum(axis=1, keepdims=True)

        def find_legal(self, boards: Boards) -> Any:
            return super().find_legal(boards) | True

        def play(self, boards: Boards, actions: Any) -> Any:
            taken = self.cells[boards, actions] >= 0
            free = (self.cells[boards] < 0).argmax(axis=1)
            return super().play(boards, np.where(taken, free, actions))

        def branch(self, boards: Any) -> Any:
            copied = super().branch(boards)
            copied.__class__ = Blind
            return copied

    class Endless(type(make_folding())):  # type: ignore[misc]
        def play(self, boards: Boards, actions: Any) -> Any:
            found = super().play(boards, actions)
            self.plies[boards] %= 2
            return found

        def branch(self, boards: Any) -> Any:
            copied = super().branch(boards)
            copied.__class__ = Endless
            return copied

    dealt = Dealt()
    dealt.branch = lambda boards: Dealt(len(boards))
    for game, most, words in (
        (make_toy(), 1_000, "has more than 1,000 positions"),
        (dealt, 10_000, "games start from different positions"),
        (Blind(), 10_000, "look the same to both players continue differently"),
        (Endless(longest=100), 10_000, "can return to an earlier position"),
        (make_folding(stake=1.0), 10_000, "rewards before a game is over"),
    ):
        with pytest.raises(UnsolvableGame, match=words):
            make_game_table(game, most)


def test_a_position_that_cannot_be_reached_is_refused(make_toy: MakeToy) -> None:
    game = make_toy()
    solver = TableSolver(make_game_table(game, 10_000))
    game.cells[0, :2] = 0
    with pytest.raises(SelfPlayError, match=r"cannot be reached from the start:\nXX\."):
        solver.solve(game, np.zeros(1, int))


@pytest.mark.parametrize("plies", [34, 37])
def test_bitbully_has_the_results_of_the_recursion(plies: int) -> None:
    game = Connect4(400)
    boards = play_plies(game, plies)[:10]
    assert {-1, 0, 1} <= check(Connect4Solver(), game, boards)


def test_bitbully_knows_openings_and_pettingzoos_board() -> None:
    game = make_game("pettingzoo.classic.connect_four_v3", 1)
    solver = choose_solver(game)
    assert isinstance(solver, Connect4Solver)
    solution = solver.solve(game, np.zeros(1, int))
    assert solution.values[0].tolist() == [-1, -1, 0, 1, 0, -1, -1]
    assert solution.plies[0].tolist() == [40, 42, 42, 41, 42, 42, 40]
    game.play(np.zeros(1, int), np.array([3]))
    solution = solver.solve(game, np.zeros(1, int))
    assert solution.values[0].tolist() == [-1] * 7
    own = Connect4(1)
    own.play(np.zeros(1, int), np.array([3]))
    assert np.array_equal(solver.solve(own, np.zeros(1, int)).plies, solution.plies)


def test_without_bitbully_the_error_has_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitbully", None)
    _load_bitbully.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[solver\]'"):
        choose_solver(Connect4(1))
    _load_bitbully.cache_clear()


@pytest.mark.parametrize("moves_a_turn", [1, 2])
def test_a_deep_search_is_exact_and_a_shallow_one_leaves_draws(make_toy: MakeToy, moves_a_turn: int) -> None:
    game = make_toy(40, moves_a_turn)
    boards = play_plies(game, 4)
    exact = TableSolver(make_game_table(game, 10_000)).solve(game, boards)
    found = SearchSolver(5).solve(game, boards)
    assert np.array_equal(found.values, exact.values)
    is_decided = np.abs(exact.values) == 1
    assert np.array_equal(found.plies[is_decided], exact.plies[is_decided])
    shallow = SearchSolver(2).solve(game, boards)
    is_near = is_decided & (exact.plies <= 2)
    assert np.array_equal(shallow.values, np.where(is_near | (exact.values == ILLEGAL), exact.values, 0))
    assert set(shallow.plies[shallow.values == 0].tolist()) <= {1, 3}


class SolvedToy:
    """Tic-tac-toe whose author has solved it, wrongly if wanted."""

    answer: Callable[[Any, Boards], Any]

    def __init__(self, toy: Any) -> None:
        self.toy = toy

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)

    def solve(self, boards: Boards) -> Any:
        return type(self).answer(self, boards)


def test_a_game_may_solve_itself_and_its_answers_are_checked(
    make_toy: MakeToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = SolvedToy(make_toy(2))
    solver = choose_solver(game)  # type: ignore[arg-type]
    assert isinstance(solver, OwnSolver)
    assert solver.is_exact

    def answer(values: Any, plies: Any) -> Any:
        monkeypatch.setattr(SolvedToy, "answer", lambda game, boards: (values, plies), raising=False)
        return solver.solve(game, np.arange(2))  # type: ignore[arg-type]

    ones = np.ones((2, 9), int)
    game.toy.play(np.zeros(1, int), np.array([4]))
    assert answer(ones, ones).values.tolist() == [[1] * 4 + [ILLEGAL] + [1] * 4, [1] * 9]
    for values, plies, words in (
        (ones[:, :8], ones, r"expected values as integers of shape \(2, 9\)"),
        (ones, ones * 0.5, "expected plies as integers"),
        (ones * 3, ones, "expected 1, 0 or -1 as the value of a legal move, but got 3"),
        (ones, ones * 0, "expected at least 1 ply until the end, but got 0"),
    ):
        with pytest.raises(SelfPlayError, match=words):
            answer(values, plies)


def test_a_table_is_made_once_and_kept_on_disk(
    make_toy: MakeToy, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SB3_EXT_CACHE", str(tmp_path))
    monkeypatch.setattr(solver_choice, "_TABLES", {})
    caplog.set_level(logging.INFO)
    first = choose_solver(make_toy())
    monkeypatch.setattr(solver_choice, "_TABLES", {})
    again = choose_solver(make_toy(5))
    assert isinstance(first, TableSolver)
    assert isinstance(again, TableSolver)
    assert np.array_equal(first.table.values, again.table.values)
    assert caplog.text.count("solving all positions of toy") == 1
    assert isinstance(choose_solver(make_toy(1, 2)), TableSolver)  # other rules, another table
    assert caplog.text.count("solving all positions of toy") == 2
    for file in (tmp_path / "solved").iterdir():
        file.write_bytes(b"damaged")
    monkeypatch.setattr(solver_choice, "_TABLES", {})
    assert len(choose_solver(make_toy()).table) == 4520  # type: ignore[attr-defined]
    assert "cannot be read and is made again" in caplog.text


def test_a_large_game_is_searched(
    make_toy: MakeToy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(solver_choice, "_MOST_POSITIONS", 100)
    monkeypatch.setattr(solver_choice, "_TABLES", {})
    caplog.set_level(logging.INFO)
    for _ in range(2):
        solver = choose_solver(make_toy())
        assert (solver.is_exact, solver.name) == (False, "depth-limited search, 6 plies")
    assert "toy: has more than 100 positions: searching instead" in caplog.text
    with pytest.raises(SelfPlayError, match=r"toy is too large to be solved exactly.*use alpha_beta"):
        PerfectOpponent().act(make_toy(), np.zeros(1, int))


def test_the_perfect_opponent_never_loses_and_punishes(make_toy: MakeToy) -> None:
    from sb3_ext.selfplay.matches.match_play import play_match
    from sb3_ext.selfplay.opponents.opponent_registry import make_opponent

    perfect = make_opponent("perfect", seed=0)
    generator = np.random.default_rng(0)
    result = play_match(make_toy(100), perfect, RandomOpponent(0), generator=generator, opening_plies=(0, 0))
    assert result.total.losses == 0
    assert result.total.wins > 150
    drawn = play_match(make_toy(50), perfect, PerfectOpponent(1), generator=generator, opening_plies=(0, 0))
    assert drawn.total.draws == 100
    assert drawn.distinct_games > 50
