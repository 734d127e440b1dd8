"""Everybody plays everybody: a payoff matrix, and ratings from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.matches.bradley_terry import PairScores, Rating, rate_players
from sb3_ext.selfplay.matches.match_play import MatchResult, Tally, play_match
from sb3_ext.selfplay.opponents.opponent import Opponent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Player:
    """
    Who takes part.

    :param opponent: how it plays
    :param step: of an agent that was trained, the environment transitions until then; ``None`` for an anchor
    :param note: what a reader has to know, such as that the agent was trained against it
    """

    opponent: Opponent
    step: int | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.opponent.name

    @property
    def is_main(self) -> bool:
        """Whether it is what the league is about: an agent with a note, the best or the latest."""
        return self.step is not None and bool(self.note)

    @property
    def label(self) -> str:
        """The name with the note."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True)
class Forgetting:
    """
    :param score: the lowest of the newest agent against any earlier one
    :param against: that one's index
    """

    score: float
    against: int


@dataclass(frozen=True)
class League:
    """
    What came of it.

    :param players: in the order in which they were given
    :param results: by the indices of two players, the lower first, from the side of that one
    :param ratings: one a player
    """

    players: tuple[Player, ...]
    results: dict[tuple[int, int], MatchResult]
    ratings: tuple[Rating, ...]

    def rank(self) -> list[int]:
        """:return: indices of the players, the highest rating first"""
        return sorted(range(len(self.players)), key=lambda index: -self.ratings[index].elo)

    def find_tallies(self, row: int, column: int) -> tuple[Tally, Tally]:
        """
        :param row: index of a player
        :param column: of another
        :return: results of the row's player where it moved first, and where it moved second
        """
        if row < column:
            return self.results[row, column].by_seat
        # Where the other one moved second, this one moved first.
        first, second = self.results[column, row].by_seat
        return second.reverse(), first.reverse()

    def find_tally(self, row: int, column: int) -> Tally:
        """
        :param row: index of a player
        :param column: of another
        :return: results of the row's player in both seats
        """
        total = self.results[min(row, column), max(row, column)].total
        return total if row < column else total.reverse()

    def find_forgetting(self) -> Forgetting | None:
        """:return: ``None`` unless there are several agents that were trained"""
        steps = {index: player.step for index, player in enumerate(self.players) if player.step is not None}
        if len(set(steps.values())) < 2:
            return None
        newest = max(steps, key=lambda index: steps[index])
        scores = {index: self.find_tally(newest, index).score for index, step in steps.items() if step < steps[newest]}
        worst = min(scores, key=lambda index: scores[index])
        return Forgetting(scores[worst], worst)

    def to_json(self) -> dict[str, Any]:
        """:return: plain JSON values: players with their ratings, pairings with their results, forgetting"""
        forgetting = self.find_forgetting()
        return {
            "players": [
                {"name": player.name, "step": player.step, "note": player.note, **rating._asdict()}
                for player, rating in zip(self.players, self.ratings, strict=True)
            ],
            "pairings": [self._describe(first, second) for first, second in self.results],
            "forgetting": None
            if forgetting is None
            else {**asdict(forgetting), "against": self.players[forgetting.against].name},
        }

    def _describe(self, first: int, second: int) -> dict[str, Any]:
        names = {"first": self.players[first].name, "second": self.players[second].name}
        return {**names, **self.results[first, second].to_json()}


def play_league(
    make_game: Callable[[int], Game],
    players: Sequence[Player],
    *,
    anchor: int,
    games: int = 1000,
    seed: int = 0,
    opening_plies: tuple[int, int] = (2, 4),
    on_match: Callable[[int, int], None] | None = None,
) -> League:
    """
    Play every pairing, and rate everybody.

    :param make_game: makes as many boards as it is told
    :param players: at least two, whose names differ
    :param anchor: index of the player whose rating is 0
    :param games: of each pairing, in pairs: both seats of every random opening. At least 2; an odd number is rounded up
    :param seed: of openings, a different one for each pairing, and of the ratings' intervals
    :param opening_plies: from the fewest to the most moves that are made at random
    :param on_match: called before each pairing, with how many were played and how many there are
    :return: the results
    :raises ValueError: if ``games`` is not positive
    :raises SelfPlayError: if somebody makes an illegal move
    """
    if games < 1:
        raise ValueError(f"games must be positive, but got {games}")
    game = make_game((games + 1) // 2)
    pairings = list(combinations(range(len(players)), 2))
    results: dict[tuple[int, int], MatchResult] = {}
    for number, (first, second) in enumerate(pairings):
        if on_match is not None:
            on_match(number, len(pairings))
        generator = np.random.default_rng([seed, number])
        opponents = players[first].opponent, players[second].opponent
        result = play_match(game, *opponents, generator=generator, opening_plies=opening_plies)
        logger.debug("%s - %s: %.1f %%", players[first].name, players[second].name, 100 * result.total.score)
        results[first, second] = result
    pair_scores = [PairScores(*pair, result.scores.mean(axis=1), 2) for pair, result in results.items()]
    ratings = rate_players(len(players), pair_scores, anchor=anchor, seed=seed)
    return League(tuple(players), results, tuple(ratings))
