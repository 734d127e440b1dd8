"""Solve a small game completely: list all positions that can be reached, then compute results from the end back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.solvers.move_search import find_winners, try_moves
from sb3_ext.selfplay.solvers.solution import ILLEGAL, Solution

_PART_BOUNDS = 256, 8192  # positions that are expanded at once: a smaller share of a smaller table
_TRIED_RESETS = 8
_TRIED_PAIRS = 16


class UnsolvableGame(SelfPlayError):
    """A game that a table cannot solve."""


@dataclass(frozen=True)
class GameTable:
    """
    All positions of a game in which a player has to move, in the order of moves from the start, and their results.

    :param keys: identifies each position, see :func:`make_keys`; shape (positions,)
    :param values: of each action, see :class:`Solution`; shape (positions, actions)
    :param plies: of each action, see :class:`Solution`; shape (positions, actions)
    :param parents: index of a position one move earlier, -1 for the start; shape (positions,)
    :param moves: the action that leads from there, shape (positions,)
    """

    keys: NDArray[Any]
    values: NDArray[np.int8]
    plies: NDArray[np.int16]
    parents: NDArray[np.intp]
    moves: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.keys)

    def list_lines(self) -> list[list[int]]:
        """:return: for each position, moves that lead to it from the start"""
        lines: list[list[int]] = []
        for parent, move in zip(self.parents.tolist(), self.moves.tolist(), strict=True):
            lines.append([] if parent < 0 else [*lines[parent], move])
        return lines


class TableSolver:
    """
    Looks results up in a table.

    :param table: of the game
    """

    is_exact = True
    name = "all positions solved"

    def __init__(self, table: GameTable) -> None:
        self.table = table
        self._order = np.argsort(table.keys)
        self._sorted_keys = table.keys[self._order]

    def solve(self, game: Game, boards: Boards) -> Solution:
        """See :class:`~sb3_ext.selfplay.solvers.solution.Solver`."""
        keys = make_keys(game, boards)
        places = np.minimum(np.searchsorted(self._sorted_keys, keys), len(self._sorted_keys) - 1)
        is_unknown = self._sorted_keys[places] != keys
        if is_unknown.any():
            board = int(boards[np.flatnonzero(is_unknown)[0]])
            raise SelfPlayError(f"{game.id}: this position cannot be reached from the start:\n{game.render(board)}")
        rows = self._order[places]
        return Solution(self.table.values[rows], self.table.plies[rows])


def make_game_table(game: Game, most_positions: int, interruption: Interruption = NEVER) -> GameTable:
    """
    Play all games. Positions are told apart by the observations of both players, the player to move and the legal
    moves.

    :param game: any game; not modified
    :param most_positions: give up beyond this number of positions
    :param interruption: checked before every few thousand positions
    :return: the positions and their results
    :raises UnsolvableGame: if there are more positions; or if games start differently (hidden cards, chance), return to
        an earlier position, give rewards before they end, or continue differently from positions that look the same
    """
    layers = [_start_layer(game)]
    known = layers[0].keys
    while True:
        layer = _expand(layers[-1], len(known), most_positions, interruption)
        if layer is None:
            return _solve_layers(layers)
        if np.isin(layer.keys, known).any():
            raise UnsolvableGame(f"{game.id}: a game can return to an earlier position")
        known = np.concatenate([known, layer.keys])
        layers[-1].forget()
        layers.append(layer)


def make_keys(game: Game, boards: Boards) -> NDArray[Any]:
    """
    :param game: the game
    :param boards: boards whose games are not over
    :return: bytes that identify each position, shape (boards,)
    """
    players = np.zeros(len(boards), np.int8)
    views = [game.observe(boards, players), game.observe(boards, 1 - players)]
    if _is_binary(game.observation_space):
        views = [np.packbits(view.reshape(len(boards), -1) != 0, axis=1) for view in views]
    masks = np.packbits(game.find_legal(boards), axis=1)
    parts = [np.ascontiguousarray(part).reshape(len(boards), -1) for part in (*views, game.movers[boards], masks)]
    content = np.concatenate([part.view(np.uint8) for part in parts], axis=1)
    return np.ascontiguousarray(content).view(np.dtype((np.void, content.shape[1])))[:, 0]


class _Layer:
    """
    The positions after a number of moves.

    :param game: a board for each
    :param keys: of the positions
    :param parents: index of a position in the layer before
    :param moves: the action from there
    """

    def __init__(self, game: Game, keys: NDArray[Any], parents: NDArray[np.intp], moves: NDArray[np.intp]) -> None:
        self.game: Game | None = game
        self.keys, self.parents, self.moves = keys, parents, moves
        #: of every legal move: the position before, the action, the result (0 if the game goes on), the position after
        #: (-1 if the game is over), and whether the other player moves next
        self.rows, self.actions, self.values, self.children, self.is_turn = (np.zeros(0, np.intp) for _ in range(5))
        self.num_actions = int(game.action_space.n)

    def forget(self) -> None:
        """Free the boards."""
        self.game = None


def _start_layer(game: Game) -> _Layer:
    starts = game.branch(np.zeros(_TRIED_RESETS, np.intp))
    starts.reset(np.arange(_TRIED_RESETS))
    keys = make_keys(starts, np.arange(_TRIED_RESETS))
    if (keys != keys[0]).any():
        raise UnsolvableGame(f"{game.id}: games start from different positions, as with chance or hidden cards")
    one = np.zeros(1, np.intp)
    return _Layer(starts.branch(one), keys[:1], one - 1, one)


def _expand(layer: _Layer, known: int, most_positions: int, interruption: Interruption) -> _Layer | None:
    """
    Make all moves of a layer.

    :return: the next layer; ``None`` if all games are over
    """
    game = layer.game
    assert game is not None
    found: list[tuple[NDArray[Any], ...]] = []
    keys: NDArray[Any] = layer.keys[:0]
    parents, moves = np.zeros(0, np.intp), np.zeros(0, np.intp)
    part_size = int(np.clip(most_positions // 256, *_PART_BOUNDS))
    parts = np.array_split(np.arange(len(layer.keys)), -(-len(layer.keys) // part_size))
    open_keys = []
    for part in interruption.watch(parts):
        rows, actions, players, children, results = try_moves(game, part)
        is_open = np.flatnonzero(~results.ends)
        if results.rewards[is_open].any():
            raise UnsolvableGame(f"{game.id}: players get rewards before a game is over")
        values = np.where(results.ends, find_winners(results.rewards, players), 0)
        part_keys = make_keys(children, is_open) if len(is_open) else keys[:0]
        is_turn = children.movers != players
        found.append((part[rows], actions, values, ~results.ends, is_turn))
        open_keys.append(part_keys)
        keys, first = np.unique(np.concatenate([keys, part_keys]), return_index=True)
        parents = np.concatenate([parents, part[rows[is_open]]])[first]
        moves = np.concatenate([moves, actions[is_open]])[first]
        if known + len(keys) > most_positions:
            raise UnsolvableGame(f"{game.id}: has more than {most_positions:,} positions")
    layer.rows, layer.actions, layer.values, is_open_all, layer.is_turn = (
        np.concatenate(parts_of) for parts_of in zip(*found, strict=True)
    )
    layer.children = np.full(len(layer.rows), -1, np.intp)
    if not len(keys):
        return None
    layer.children[is_open_all] = np.searchsorted(keys, np.concatenate(open_keys))
    following = game.branch(parents)
    following.play(np.arange(len(parents)), moves)
    _check_alike(game, layer, following)
    return _Layer(following, keys, parents, moves)


def _check_alike(game: Game, layer: _Layer, following: Game) -> None:
    """Check a sample of positions that were reached in two ways: they must continue alike."""
    places = np.flatnonzero(layer.children >= 0)
    generator = np.random.default_rng(0)
    sample = generator.choice(places, min(len(places), _TRIED_PAIRS), replace=False)
    others = game.branch(layer.rows[sample])
    others.play(np.arange(len(sample)), layer.actions[sample])
    continued = [try_moves(others, np.arange(len(sample))), try_moves(following, layer.children[sample])]
    parts: list[tuple[NDArray[Any], ...]] = [
        (actions, results.ends, results.rewards, make_keys(children, np.flatnonzero(~results.ends)))
        if not results.ends.all()
        else (actions, results.ends, results.rewards)
        for _, actions, _, children, results in continued
    ]
    first, second = parts
    if not all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)):
        raise UnsolvableGame(f"{game.id}: positions that look the same to both players continue differently")


def _solve_layers(layers: list[_Layer]) -> GameTable:
    sizes = [len(layer.keys) for layer in layers]
    offsets = np.cumsum([0, *sizes])
    values: list[NDArray[np.int8]] = []
    plies: list[NDArray[np.int16]] = []
    after: Solution | None = None
    for layer in reversed(layers):
        shape = len(layer.keys), layer.num_actions
        found = Solution(np.full(shape, ILLEGAL, np.int8), np.zeros(shape, np.int16))
        move_values, move_plies = layer.values.astype(np.int8), np.ones(len(layer.rows), np.int16)
        is_open = layer.children >= 0
        if after is not None:
            children = layer.children[is_open]
            signs = np.where(layer.is_turn[is_open], -1, 1)
            move_values[is_open] = signs * after.best_values[children]
            move_plies[is_open] = 1 + after.plies_left[children]
        found.values[layer.rows, layer.actions] = move_values
        found.plies[layer.rows, layer.actions] = move_plies
        values.insert(0, found.values)
        plies.insert(0, found.plies)
        after = found
    parents = [layer.parents + before for layer, before in zip(layers[1:], offsets, strict=False)]
    return GameTable(
        np.concatenate([layer.keys for layer in layers]),
        np.concatenate(values),
        np.concatenate(plies),
        np.concatenate([layers[0].parents, *parents]),
        np.concatenate([layer.moves for layer in layers]).astype(np.int16),
    )


def _is_binary(space: spaces.Box) -> bool:
    return bool(np.issubdtype(space.dtype, np.integer) and space.low.min() >= 0 and space.high.max() <= 1)
