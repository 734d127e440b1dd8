"""Online ratings of the agent and its opponents during training, by openskill."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from openskill.models import PlackettLuce

AGENT = "agent"
"""Name of the agent in the ratings."""


class OnlineRating(NamedTuple):
    """
    A rating: a normal distribution on openskill's scale.

    :param mu: mean; initially 25
    :param sigma: standard deviation; initially 25 / 3
    """

    mu: float
    sigma: float


class OnlineRatings:
    """
    The Plackett-Luce model of Weng and Lin, A Bayesian approximation method for online ranking, Journal of Machine
    Learning Research 12 (2011); of two players, it is that of Bradley and Terry.

    The agent learns, so the deviation of its rating grows a little before every game (openskill's τ). Opponents do not
    learn, so theirs does not.
    """

    def __init__(self) -> None:
        self._model = PlackettLuce(tau=0.0)
        self._start = OnlineRating(self._model.mu, self._model.sigma)
        self._drift = self._start.mu / 300  # openskill's own default for τ
        self._ratings: dict[str, OnlineRating] = {}
        self._games: dict[str, int] = {}

    @property
    def agent(self) -> OnlineRating:
        """The current rating of the agent."""
        return self._ratings.get(AGENT, self._start)

    @property
    def games(self) -> int:
        """Number of rated games of the agent."""
        return self._games.get(AGENT, 0)

    def find(self, name: str) -> OnlineRating:
        """
        :param name: name of an opponent, or :data:`AGENT`
        :return: its rating; the initial one if it has not played
        """
        return self._ratings.get(name, self._start)

    def add_past_self(self, name: str) -> None:
        """
        Give a new snapshot of the agent the agent's current rating. Known names keep their ratings.

        :param name: name of the snapshot
        """
        self._ratings.setdefault(name, self.agent)

    def record(self, opponent: str, result: float) -> None:
        """
        Update the ratings after a game.

        :param opponent: name of the opponent
        :param result: positive if the agent won, negative if it lost, 0 for a draw
        """
        own, other = self.agent, self.find(opponent)
        widened = math.hypot(own.sigma, self._drift)
        teams = [[self._model.rating(own.mu, widened)], [self._model.rating(other.mu, other.sigma)]]
        [[new_own], [new_other]] = self._model.rate(teams, ranks=[0.0, math.copysign(1.0, result) if result else 0.0])
        for name, rated in ((AGENT, new_own), (opponent, new_other)):
            self._ratings[name] = OnlineRating(rated.mu, rated.sigma)
            self._games[name] = self._games.get(name, 0) + 1

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :return: plain JSON values, by name, the strongest first: ``mu``, ``sigma`` and the number of ``games``
        """
        ranked = sorted(self._ratings.items(), key=lambda item: -item[1].mu)
        return {name: {**rating._asdict(), "games": self._games.get(name, 0)} for name, rating in ranked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._ratings = {name: OnlineRating(values["mu"], values["sigma"]) for name, values in state.items()}
        self._games = {name: values["games"] for name, values in state.items() if values["games"]}
