"""Games between two opponents: from random openings, both seats of each, all boards at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.reports.intervals import find_wilson_interval95
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import check_moves
from sb3_ext.selfplay.games.openings import play_random_openings
from sb3_ext.selfplay.games.zero_sum import check_zero_sum
from sb3_ext.selfplay.opponents.opponent import Opponent


class Tally(NamedTuple):
    """
    Results of one player.

    :param wins: how many
    :param draws: how many
    :param losses: how many
    """

    wins: int
    draws: int
    losses: int

    @property
    def games(self) -> int:
        """How many."""
        return sum(self)

    @property
    def score(self) -> float:
        """Mean of 1 a win and a half a draw."""
        return (self.wins + self.draws / 2) / self.games

    @property
    def interval95(self) -> tuple[float, float]:
        """Wilson's interval of the score."""
        return find_wilson_interval95(self.score, self.games)

    def reverse(self) -> Tally:
        """:return: the same of the other player"""
        return Tally(self.losses, self.draws, self.wins)


@dataclass(frozen=True)
class MatchResult:
    """
    What came of a match.

    :param scores: of the first player, 1, a half or 0, shape (openings, 2): in the second column it had the second
        seat
    :param distinct_games: how many games differ in opening, seats or moves. Players who draw no random numbers repeat
        themselves; then the games are fewer than they seem
    """

    scores: NDArray[np.float64]
    distinct_games: int

    @property
    def by_seat(self) -> tuple[Tally, Tally]:
        """Of the first player where it moved first, and where it moved second."""
        first, second = (
            Tally(*(int((column == score).sum()) for score in (1.0, 0.5, 0.0))) for column in self.scores.T
        )
        return first, second

    @property
    def total(self) -> Tally:
        """Of the first player, in both seats."""
        first, second = self.by_seat
        return Tally(*(a + b for a, b in zip(first, second, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """:return: plain JSON values, of the first player: in both seats, and ``moving_first`` and ``moving_second``"""
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
    Play two games from every opening, so that nobody is luckier with the openings than the other.

    :param game: its boards, of which there are as many as openings, are reset
    :param first: a player
    :param second: the other; may be the same object
    :param generator: of the openings
    :param opening_plies: from the fewest to the most moves that are made at random, each number as likely
    :return: from the first player's side
    :raises SelfPlayError: if a player makes an illegal move: which, and where; if the rewards of a game do not sum to
        zero
    """
    openings = np.arange(game.num_boards)
    game.reset(openings)
    opening_rewards = play_random_openings(game, openings, generator, *opening_plies)
    positions = game.observe(openings, np.zeros(len(openings), dtype=np.int8))
    # Either half of the boards has all the openings; in the second one, the first player has seat 1.
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
    """:return: the sums of rewards, shape (boards, 2), and the moves, −1 after the end, shape (boards, plies)"""
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
    :param positions: after the openings, shape (openings, ...)
    :param moves: from there on, shape (2 × openings, plies)
    :return: how many games differ
    """
    keys = [position.tobytes() for position in positions]
    half = len(keys)
    return len({(row >= half, keys[row % half], line.tobytes()) for row, line in enumerate(moves)})
