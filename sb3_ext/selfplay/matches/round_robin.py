"""Round-robin leagues: every player meets every other; payoff matrix and ratings."""

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
    A player of a league.

    :param opponent: chooses its moves
    :param step: training steps of an agent; ``None`` for an anchor
    :param note: shown behind the name, for example that the agent was trained against it
    """

    opponent: Opponent
    step: int | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.opponent.name

    @property
    def is_main(self) -> bool:
        """Whether it is the best or latest agent."""
        return self.step is not None and bool(self.note)

    @property
    def label(self) -> str:
        """Name and note."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True)
class Forgetting:
    """
    The worst result of the newest agent against its earlier versions.

    :param score: its lowest score
    :param against: index of that earlier version
    """

    score: float
    against: int


@dataclass(frozen=True)
class League:
    """
    The results of a league.

    :param players: the players
    :param results: result of each match, by the indices of its players (the lower first, whose perspective it is)
    :param ratings: the rating of each player
    """

    players: tuple[Player, ...]
    results: dict[tuple[int, int], MatchResult]
    ratings: tuple[Rating, ...]

    def rank(self) -> list[int]:
        """:return: indices of the players, the highest rating first"""
        return sorted(range(len(self.players)), key=lambda index: -self.ratings[index].elo)

    def get_tallies(self, row: int, column: int) -> tuple[Tally, Tally]:
        """
        :param row: index of a player
        :param column: index of another player
        :return: results of the row's player where it moved first, and where it moved second
        """
        if row < column:
            return self.results[row, column].by_seat
        # Where the other one moved second, this one moved first.
        first, second = self.results[column, row].by_seat
        return second.reverse(), first.reverse()

    def get_tally(self, row: int, column: int) -> Tally:
        """
        :param row: index of a player
        :param column: index of another player
        :return: results of the row's player in all games
        """
        total = self.results[min(row, column), max(row, column)].total
        return total if row < column else total.reverse()

    def compute_forgetting(self) -> Forgetting | None:
        """:return: the worst result of the newest agent; ``None`` with fewer than two agents"""
        steps = {index: player.step for index, player in enumerate(self.players) if player.step is not None}
        if len(set(steps.values())) < 2:
            return None
        newest = max(steps, key=lambda index: steps[index])
        scores = {index: self.get_tally(newest, index).score for index, step in steps.items() if step < steps[newest]}
        worst = min(scores, key=lambda index: scores[index])
        return Forgetting(scores[worst], worst)

    def to_json(self) -> dict[str, Any]:
        """:return: players with ratings, pairings with results, and forgetting, as plain JSON"""
        forgetting = self.compute_forgetting()
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
    Play a match between every two players, and compute ratings.

    :param make_game: makes a game with a given number of boards
    :param players: at least two players with distinct names
    :param anchor: index of the player whose rating is 0
    :param games: number of games of each match; an odd number is rounded up, since openings are played with both sides
    :param seed: seed of the openings, which differ between matches, and of the ratings' intervals
    :param opening_plies: minimum and maximum number of random moves in an opening
    :param on_match: called before each match with the number of finished matches and of all matches
    :return: the results
    :raises ValueError: if ``games`` is not positive
    :raises SelfPlayError: if a player makes an illegal move
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
