"""Where training games start: after random openings, or in the middle of random, earlier or lost games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.config.game_schema import StartPositionsConfig
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.games.openings import play_opening_lines

_DEFAULTS = StartPositionsConfig()
_RANDOM_GAMES = 256  # played at once
_FIRST_WIDTH = 32  # moves; doubled for longer games


@dataclass(frozen=True)
class StartShares:
    """
    Shares of the games that start in the middle of another game; the others start after a random opening.

    :param random: after a random number of moves of a random game: all numbers are equally likely, also those that few
        random games reach
    :param replay: after a random number of moves of one of the latest games, against any opponent
    :param lost: in the second half of one of the latest games that the agent lost
    :param memory_games: number of latest games, and of latest lost games, that are remembered
    :raises ValueError: if a share is negative, they add up to more than 1, or ``memory_games`` is not positive
    """

    random: float = 0.0
    replay: float = 0.0
    lost: float = 0.0
    memory_games: int = _DEFAULTS.memory_games

    def __post_init__(self) -> None:
        shares = (self.random, self.replay, self.lost)
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(f"shares of start positions must be at least 0 and add up to at most 1, but got {shares}")
        if self.memory_games < 1:
            raise ValueError(f"memory_games must be positive, but got {self.memory_games}")

    @property
    def has_starts(self) -> bool:
        """Whether any share is positive."""
        return self.random + self.replay + self.lost > 0

    @property
    def needs_memory(self) -> bool:
        """Whether games are remembered."""
        return self.replay > 0 or self.lost > 0


class StartPositions:
    """
    Starts games, and remembers the moves of the latest ones.

    :param num_boards: number of boards
    :param opening_plies: minimum and maximum number of random moves in an opening
    :param shares: of games that start elsewhere
    """

    def __init__(self, num_boards: int, opening_plies: tuple[int, int], shares: StartShares) -> None:
        self.has_openings = opening_plies[1] > 0 or shares.has_starts
        self._opening_plies = opening_plies
        self._shares = shares
        self._running = _Lines(num_boards)
        self._latest, self._lost = _Lines(0), _Lines(0)
        self._random = _Lines(0)  # latest random games
        self._unplayed = 0  # random games that were begun since the latest were played

    def begin(self, game: Game, boards: Boards, generator: np.random.Generator) -> NDArray[np.float32]:
        """
        Reset boards and play to their start positions.

        :param game: the game; modified in place
        :param boards: the boards
        :param generator: random generator
        :return: rewards of both players so far, shape (boards, 2)
        """
        self.restart(game, boards)
        if not self.has_openings:
            return np.zeros((len(boards), 2), np.float32)
        lines, plies = self._choose(game, boards, generator)
        rewards, played = play_opening_lines(game, boards, generator, lines, plies)
        if self._shares.needs_memory:
            self._running.replace(boards, played)
        return rewards

    def restart(self, game: Game, boards: Boards) -> None:
        """
        Reset boards without an opening.

        :param game: the game; modified in place
        :param boards: the boards
        """
        game.reset(boards)
        if self._shares.needs_memory:
            self._running.replace(boards, np.zeros((len(boards), 0), np.int16))

    def note_moves(self, boards: Boards, actions: NDArray[np.intp]) -> None:
        """
        Remember a move on each board.

        :param boards: the boards
        :param actions: the moves
        """
        if self._shares.needs_memory:
            self._running.append(boards, actions)

    def note_ends(self, boards: Boards, lost: NDArray[np.bool_]) -> None:
        """
        Remember finished games. Call it before :meth:`begin`.

        :param boards: boards whose games are over
        :param lost: whether the agent lost, shape (boards,)
        """
        if self._shares.needs_memory:
            lines = self._running.moves[boards]
            self._latest.push(lines, self._shares.memory_games)
            self._lost.push(lines[lost], self._shares.memory_games)

    def forget(self) -> None:
        """Drop all remembered games."""
        self._latest, self._lost, self._random = _Lines(0), _Lines(0), _Lines(0)
        self._unplayed = 0

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        if not self._shares.has_starts:
            return {}
        lines = {name: lines.moves.copy() for name, lines in self._list_lines().items()}
        return {**lines, "unplayed": np.array(self._unplayed)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        for name, lines in self._list_lines().items():
            if name in state:
                lines.moves = state[name].copy()
        self._unplayed = int(state.get("unplayed", 0))

    def _list_lines(self) -> dict[str, _Lines]:
        return {"running": self._running, "latest": self._latest, "lost": self._lost, "random": self._random}

    def _choose(
        self, game: Game, boards: Boards, generator: np.random.Generator
    ) -> tuple[NDArray[np.int16], NDArray[np.intp]]:
        """:return: moves to play, -1 for a random one, shape (boards, plies); number of moves, shape (boards,)"""
        plies = generator.integers(*self._opening_plies, len(boards), endpoint=True)
        lines = np.zeros((len(boards), 0), np.int16)
        shares = self._shares
        if not shares.has_starts:
            return lines, plies
        bounds = np.cumsum([shares.random, shares.replay, shares.lost])
        kinds = np.searchsorted(bounds, generator.random(len(boards)), side="right")
        for kind, memory in enumerate((None, self._latest, self._lost)):
            rows = np.flatnonzero(kinds == kind)
            if not rows.size:
                continue
            if memory is None:
                found, plies[rows] = self._draw_random_games(game, len(rows), generator)
            elif len(memory.moves):
                found = memory.moves[generator.integers(len(memory.moves), size=len(rows))]
                lengths = memory.count_moves(found)
                least = lengths // 2 if memory is self._lost else np.zeros_like(lengths)
                plies[rows] = generator.integers(least, np.maximum(lengths, 1))
            else:
                continue
            lines = _widen(lines, found.shape[1])
            lines[rows] = _widen(found, lines.shape[1])
        return lines, plies

    def _draw_random_games(
        self, game: Game, count: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.int16], NDArray[np.intp]]:
        """:return: random games, and for each a smaller number of moves than it has"""
        self._unplayed += count
        while self._unplayed > 0:
            self._random.push(_play_random_games(game, _RANDOM_GAMES, generator), self._shares.memory_games)
            self._unplayed -= _RANDOM_GAMES
        lengths = self._random.count_moves(self._random.moves)
        order = np.argsort(lengths, kind="stable")
        plies = generator.integers(lengths.max(), size=count)
        first_longer = np.searchsorted(lengths[order], plies, side="right")
        return self._random.moves[order[generator.integers(first_longer, len(order))]], plies


class _Lines:
    """
    Moves of several games, -1 after the last, shape (games, plies).

    :param count: number of games without moves
    """

    def __init__(self, count: int) -> None:
        self.moves = np.full((count, _FIRST_WIDTH), -1, np.int16)

    def replace(self, rows: Boards, lines: NDArray[np.int16]) -> None:
        self.moves = _widen(self.moves, lines.shape[1])
        self.moves[rows] = _widen(lines, self.moves.shape[1])

    def append(self, rows: Boards, moves: NDArray[np.intp]) -> None:
        lengths = (self.moves[rows] >= 0).sum(axis=1)
        if lengths.max(initial=0) == self.moves.shape[1]:
            self.moves = _widen(self.moves, 2 * self.moves.shape[1])
        self.moves[rows, lengths] = moves

    @staticmethod
    def count_moves(lines: NDArray[np.int16]) -> NDArray[np.intp]:
        """:return: number of moves of each game"""
        return np.asarray((lines >= 0).sum(axis=1), np.intp)

    def push(self, lines: NDArray[np.int16], most: int) -> None:
        """Add games, and drop the oldest beyond a number."""
        if len(lines):
            width = max(self.moves.shape[1], lines.shape[1])
            self.moves = np.concatenate([_widen(self.moves, width), _widen(lines, width)])[-most:]


def _widen(lines: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    missing = width - lines.shape[1]
    if missing <= 0:
        return lines
    return np.pad(lines, ((0, 0), (0, missing)), constant_values=-1)


def _play_random_games(game: Game, count: int, generator: np.random.Generator) -> NDArray[np.int16]:
    """:return: moves of random games, -1 after the last, shape (count, plies)"""
    copies = game.branch(np.zeros(count, np.intp))
    running = np.arange(count)
    copies.reset(running)
    columns = [np.full(count, -1, np.int16)]
    while running.size:
        moves = draw_legal(copies.find_legal(running), generator)
        columns[-1][running] = moves
        running = running[~copies.play(running, moves).ends]
        columns.append(np.full(count, -1, np.int16))
    return np.stack(columns, axis=1)
