"""Draw random positions of all phases of a game, and solve them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.positions.position_set import DIFFICULTIES, PHASES, PositionSet, compute_difficulties, play_lines
from sb3_ext.selfplay.solvers.fingerprint import compute_fingerprint
from sb3_ext.selfplay.solvers.game_table import TableSolver, make_keys
from sb3_ext.selfplay.solvers.solution import Solver
from sb3_ext.selfplay.solvers.solved_files import load_solved, save_solved

logger = logging.getLogger(__name__)

_LARGEST_COMPLETE = 10_000
"""Games with at most so many positions are used completely."""
_MOST_TRIED = 30
"""Positions that are drawn for each one that is wanted."""
_BATCH = 256
_SOLVED_AT_ONCE = 16
_PROBED_GAMES = 1_000
_NO_CHOICE, _WIN_AT_ONCE, _OTHER_CHOICE = range(3)


def provide_positions(
    game: Game,
    solver: Solver,
    per_cell: int,
    seed: int,
    *,
    interruption: Interruption = NEVER,
) -> PositionSet:
    """
    Draw positions, or load them from the cache directory, if the same ones were drawn before.

    Positions are those of random games after a random number of moves. In each phase and difficulty, half of them are
    positions in which the choice matters: a legal move loses value. In half of these, if they are easy, a move wins at
    once; otherwise nearly all of them would be of this kind. Fewer are returned where they are rare. All positions of a
    small game are returned instead, if the solver has a table.

    :param game: any game; not modified
    :param solver: from :func:`~sb3_ext.selfplay.solvers.solver_choice.choose_solver`
    :param per_cell: number of positions of each phase and difficulty, at least 1
    :param seed: seed of the random games
    :param interruption: checked before each batch
    :return: the positions
    :raises ValueError: if ``per_cell`` is too small
    """
    if per_cell < 1:
        raise ValueError(f"per_cell must be positive, but got {per_cell}")
    if isinstance(solver, TableSolver) and len(solver.table) <= _LARGEST_COMPLETE:
        return _take_all(solver)
    key = ("positions", compute_fingerprint(game), solver.name, per_cell, seed)
    found = load_solved(*key)
    if found is None:
        logger.info("solving random positions of %s; later commands reuse them …", game.id)
        found = _draw(game, solver, per_cell, seed, interruption)
        save_solved(found, *key)
    longest = int(found.pop("longest_plies"))
    return PositionSet(solver.name, solver.is_exact, False, longest, **found)


def _take_all(solver: TableSolver) -> PositionSet:
    lines = solver.table.list_lines()
    longest = max(map(len, lines))
    padded = np.full((len(lines), longest), -1, np.int16)
    for row, line in enumerate(lines):
        padded[row, : len(line)] = line
    table = solver.table
    return PositionSet(solver.name, solver.is_exact, True, longest + 1, padded, table.values, table.plies)


def _draw(
    game: Game,
    solver: Solver,
    per_cell: int,
    seed: int,
    interruption: Interruption,
) -> dict[str, NDArray[Any]]:
    longest = _find_longest(game)
    drawn: list[_Candidate] = []
    for phase in range(len(PHASES)):
        most = per_cell * len(DIFFICULTIES) * _MOST_TRIED
        candidates = _draw_candidates(game, solver, phase, longest, np.random.default_rng([seed, phase]), most)
        drawn += _choose(interruption.watch(candidates), _count_wanted(per_cell, phase, longest))
    lines, values, plies = zip(*((found.line, found.values, found.plies) for found in drawn), strict=True)
    return {
        "lines": np.stack(lines),
        "values": np.stack(values),
        "plies": np.stack(plies),
        "longest_plies": np.array(longest),
    }


class _Candidate(NamedTuple):
    line: NDArray[np.int16]
    values: NDArray[np.int8]
    plies: NDArray[np.int16]
    cell: tuple[int, int]  # its difficulty, and its kind


def _choose(candidates: Iterable[_Candidate], wanted: dict[tuple[int, int], int]) -> list[_Candidate]:
    """:return: the first candidates of each cell, as many as wanted, by cells"""
    chosen: dict[tuple[int, int], list[_Candidate]] = {cell: [] for cell in wanted}
    for candidate in candidates:
        found = chosen.get(candidate.cell, [])
        if len(found) < wanted.get(candidate.cell, 0):
            found.append(candidate)
            if all(len(chosen[cell]) == count for cell, count in wanted.items()):
                break
    return [candidate for found in chosen.values() for candidate in found]


def _count_wanted(per_cell: int, phase: int, longest: int) -> dict[tuple[int, int], int]:
    plies_left = longest - _find_bounds(phase, longest)[0]
    hardest = int(compute_difficulties(np.array([plies_left]), longest)[0])  # no phase has time for harder positions
    wanted = {}
    for difficulty in range(hardest + 1):
        wins = (per_cell + 1) // 4 if difficulty == 0 else 0  # a win at once is easy
        wanted[difficulty, _NO_CHOICE] = per_cell // 2
        wanted[difficulty, _WIN_AT_ONCE] = wins
        wanted[difficulty, _OTHER_CHOICE] = per_cell - per_cell // 2 - wins
    return wanted


def _find_bounds(phase: int, longest: int) -> tuple[int, int]:
    """:return: least and most moves before a position of a phase, whose player has at least one move left"""
    return longest * phase // 3 + (phase > 0), min(longest * (phase + 1) // 3, longest - 1)


def _draw_candidates(
    game: Game, solver: Solver, phase: int, longest: int, generator: np.random.Generator, most: int
) -> Iterator[_Candidate]:
    """Yield different solved positions of a phase, at most a number of them (a little more)."""
    seen: set[bytes] = set()
    for _ in range(-(-most // _BATCH)):
        plies = generator.integers(*_find_bounds(phase, longest), _BATCH, endpoint=True)
        lines = _play_randomly(game, plies, longest, generator)
        boards = play_lines(game, lines)
        rows = []
        for row, key in enumerate(make_keys(boards, np.arange(len(lines)))):
            if key.tobytes() not in seen:
                seen.add(key.tobytes())
                rows.append(row)
        for start in range(0, len(rows), _SOLVED_AT_ONCE):
            part = np.array(rows[start : start + _SOLVED_AT_ONCE])
            solution = solver.solve(boards, part)
            difficulties = compute_difficulties(solution.plies_left, longest)
            choices = np.where(solution.plies_left == 1, _WIN_AT_ONCE, _OTHER_CHOICE)  # with a last stone none matters
            kinds = np.where(solution.has_choice, choices, _NO_CHOICE)
            cells = zip(difficulties.tolist(), kinds.tolist(), strict=True)
            yield from map(_Candidate, lines[part], *solution, cells)


def _play_randomly(
    game: Game, plies: NDArray[np.integer[Any]], longest: int, generator: np.random.Generator
) -> NDArray[np.int16]:
    """:return: random moves, as many as given, of the games that are not over by then, padded with -1"""
    boards = game.branch(np.zeros(len(plies), np.intp))
    boards.reset(np.arange(len(plies)))
    lines = np.full((len(plies), longest), -1, np.int16)
    is_open = np.ones(len(plies), np.bool_)
    for ply in range(int(plies.max(initial=0))):
        moving = np.flatnonzero(is_open & (plies > ply))
        if not moving.size:
            break
        moves = draw_legal(boards.find_legal(moving), generator)
        lines[moving, ply] = moves
        is_open[moving[boards.play(moving, moves).ends]] = False
    return lines[is_open]


def _find_longest(game: Game) -> int:
    """:return: moves of the longest game: the game's own ``longest_plies``, else that of many random games"""
    known = getattr(game, "longest_plies", None)
    if known is not None:
        return int(known)
    boards = game.branch(np.zeros(_PROBED_GAMES, np.intp))
    running, generator, plies = np.arange(_PROBED_GAMES), np.random.default_rng(0), 0
    boards.reset(running)
    while running.size:
        ends = boards.play(running, draw_legal(boards.find_legal(running), generator)).ends
        running, plies = running[~ends], plies + 1
    return plies
