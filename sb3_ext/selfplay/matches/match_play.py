"""Play matches between two opponents: two games from each random opening, with sides swapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.reports.intervals import compute_wilson_interval95
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import check_moves
from sb3_ext.selfplay.games.openings import play_random_openings
from sb3_ext.selfplay.games.zero_sum import check_zero_sum
from sb3_ext.selfplay.opponents.opponent import Opponent


class Tally(NamedTuple):
    """
    Results of one player.

    :param wins: number of games won
    :param draws: number of games drawn
    :param losses: number of games lost
    """

    wins: int
    draws: int
    losses: int

    @property
    def games(self) -> int:
        """Number of games."""
        return sum(self)

    @property
    def score(self) -> float:
        """Mean of 1 for a win, 0.5 for a draw, 0 for a loss."""
        return (self.wins + self.draws / 2) / self.games

    @property
    def interval95(self) -> tuple[float, float]:
        """95 % Wilson interval of the score."""
        return compute_wilson_interval95(self.score, self.games)

    def reverse(self) -> Tally:
        """:return: the results of the other player"""
        return Tally(self.losses, self.draws, self.wins)


@dataclass(frozen=True)
class MatchResult:
    """
    The result of a match.

    :param scores: scores of the first player (1, 0.5 or 0), shape (openings, 2): where it moved first, and where it
        moved second
    :param distinct_games: number of games that differ in opening, sides or moves; deterministic players repeat games
    """

    scores: NDArray[np.float64]
    distinct_games: int

    @property
    def by_seat(self) -> tuple[Tally, Tally]:
        """Results of the first player where it moved first, and where it moved second."""
        first, second = (
            Tally(*(int((column == score).sum()) for score in (1.0, 0.5, 0.0))) for column in self.scores.T
        )
        return first, second

    @property
    def total(self) -> Tally:
        """Results of the first player in all games."""
        first, second = self.by_seat
        return Tally(*(a + b for a, b in zip(first, second, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """:return: results of the first player as plain JSON: in all games, ``moving_first`` and ``moving_second``"""
        total = self.total
        moving_first, moving_second = (tally._asdict() for tally in self.by_seat)
        return {
            **total._asdict(),
            "games": total.games,
            "distinct_games": self.distinct_games,
            "score": total.score,
            "interval95": list(total.interval95),
            "moving_first": moving_first,
            "moving_second": moving_second,
        }


def play_match(
    game: Game,
    first: Opponent,
    second: Opponent,
    *,
    generator: np.random.Generator,
    opening_plies: tuple[int, int] = (2, 4),
) -> MatchResult:
    """
    Play two games from every opening, with sides swapped, so that openings favour neither player.

    :param game: the game; it is reset, and its number of boards is the number of openings
    :param first: a player
    :param second: the other player; may be the same object
    :param generator: random generator of the openings
    :param opening_plies: minimum and maximum number of random moves in an opening
    :return: the result, from the first player's perspective
    :raises SelfPlayError: if a player makes an illegal move, or the rewards of a game do not sum to zero
    """
    openings = np.arange(game.num_boards)
    game.reset(openings)
    opening_rewards = play_random_openings(game, openings, generator, *opening_plies)
    positions = game.observe(openings, np.zeros(len(openings), dtype=np.int8))
    # Both halves of the boards have all openings; in the second half, the first player moves second.
    seats = np.repeat(np.array([0, 1], dtype=np.int8), len(openings))
    found, moves = _play_out(game.branch(np.tile(openings, 2)), first, second, seats)
    rewards = found + np.tile(opening_rewards, (2, 1))
    check_zero_sum(game.id, rewards)
    own, other = (rewards[np.arange(len(seats)), players] for players in (seats, 1 - seats))
    scores = (1 + np.sign(own - other, dtype=np.float64)) / 2
    return MatchResult(scores.reshape(2, -1).T, _count_distinct(positions, moves))


def _play_out(
    game: Game, first: Opponent, second: Opponent, seats: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """:return: summed rewards, shape (boards, 2), and moves, -1 after the end, shape (boards, plies)"""
    rewards = np.zeros((game.num_boards, 2), dtype=np.float32)
    plies: list[NDArray[np.intp]] = []
    running: Boards = np.arange(game.num_boards)
    while running.size:
        is_first = game.movers[running] == seats[running]
        moves = np.full(game.num_boards, -1, dtype=np.intp)
        for player, boards in ((first, running[is_first]), (second, running[~is_first])):
            if boards.size:
                actions = player.act(game, boards)
                check_moves(f"'{player.name}'", game, boards, actions, game.find_legal(boards))
                moves[boards] = actions
        found, ends = game.play(running, moves[running])
        rewards[running] += found
        plies.append(moves)
        running = running[~ends]
    return rewards, np.stack(plies, axis=1)


def _count_distinct(positions: NDArray[np.generic], moves: NDArray[np.intp]) -> int:
    """
    :param positions: positions after the openings, shape (openings, ...)
    :param moves: moves after the openings, shape (2 × openings, plies)
    :return: number of distinct games
    """
    keys = [position.tobytes() for position in positions]
    half = len(keys)
    return len({(row >= half, keys[row % half], line.tobytes()) for row, line in enumerate(moves)})
