"""Ratings while training goes on: the agent and everybody it meets, game by game, by openskill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from openskill.models import PlackettLuce

AGENT = "agent"
"""The name under which the agent itself is rated."""


class OnlineRating(NamedTuple):
    """
    A strength and how sure it is: a normal distribution on openskill's scale.

    :param mu: mean; everybody starts at 25
    :param sigma: standard deviation; everybody starts at 25 / 3
    """

    mu: float
    sigma: float


class OnlineRatings:
    """
    The Plackett-Luce model of Weng and Lin, A Bayesian approximation method for online ranking, Journal of Machine
    Learning Research 12 (2011); of two players, it is that of Bradley and Terry.

    The agent learns, so its rating becomes a little less sure before every game (openskill's τ). Its opponents stay
    what they are: they are the fixed marks against which it is seen to move.
    """

    def __init__(self) -> None:
        self._model = PlackettLuce(tau=0.0)
        self._start = OnlineRating(self._model.mu, self._model.sigma)
        self._drift = self._start.mu / 300  # openskill's own default for τ
        self._ratings: dict[str, OnlineRating] = {}
        self._games: dict[str, int] = {}

    @property
    def agent(self) -> OnlineRating:
        """The agent's rating as it is now."""
        return self._ratings.get(AGENT, self._start)

    @property
    def games(self) -> int:
        """How many games the agent was rated by."""
        return self._games.get(AGENT, 0)

    def find(self, name: str) -> OnlineRating:
        """
        :param name: of anybody
        :return: the rating; that of the start for those who have not been met
        """
        return self._ratings.get(name, self._start)

    def add_past_self(self, name: str) -> None:
        """
        The agent as it is now becomes an opponent. One that is known already is left as it is.

        :param name: of the opponent
        """
        self._ratings.setdefault(name, self.agent)

    def record(self, opponent: str, result: float) -> None:
        """
        Rate a game.

        :param opponent: whom the agent has met
        :param result: positive if the agent has won, negative if it has lost, 0 after a draw
        """
        own, other = self.agent, self.find(opponent)
        widened = math.hypot(own.sigma, self._drift)
        teams = [[self._model.rating(own.mu, widened)], [self._model.rating(other.mu, other.sigma)]]
        [[new_own], [new_other]] = self._model.rate(teams, ranks=[0.0, math.copysign(1.0, result) if result else 0.0])
        for name, rated in ((AGENT, new_own), (opponent, new_other)):
            self._ratings[name] = OnlineRating(rated.mu, rated.sigma)
            self._games[name] = self._games.get(name, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """:return: plain JSON values, by name, the strongest first: ``mu``, ``sigma`` and the number of games"""
        ranked = sorted(self._ratings.items(), key=lambda item: -item[1].mu)
        return {name: {**rating._asdict(), "games": self._games.get(name, 0)} for name, rating in ranked}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> OnlineRatings:
        """
        :param content: what :meth:`to_json` gave
        :return: the same ratings
        """
        ratings = cls()
        for name, values in content.items():
            ratings._ratings[name] = OnlineRating(values["mu"], values["sigma"])
            if values["games"]:
                ratings._games[name] = values["games"]
        return ratings
