"""Online ratings of the agent and its opponents during training, the same as openskill's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

_MU, _SIGMA = 25.0, 25.0 / 3.0
_BETA = 25.0 / 6.0  # deviation of the performance in a game
_DRIFT = 25.0 / 300.0
_LEAST_SHRINKAGE = 1e-4  # of a variance
# These are the defaults of openskill, which calls them mu, sigma, beta, tau and kappa.

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
        self._start = OnlineRating(_MU, _SIGMA)
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
        own = OnlineRating(self.agent.mu, math.hypot(self.agent.sigma, _DRIFT))
        for name, rating in zip((AGENT, opponent), rate_game(own, self.find(opponent), result), strict=True):
            self._ratings[name] = rating
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


def rate_game(first: OnlineRating, second: OnlineRating, result: float) -> tuple[OnlineRating, OnlineRating]:
    """
    Compute what ``PlackettLuce(tau=0).rate`` of openskill returns for two players, in a twentieth of its time.

    :param first: rating of a player before the game
    :param second: rating of the other player
    :param result: positive if the first one won, negative if it lost, 0 for a draw
    :return: both ratings after the game
    """
    score = 0.5 if result == 0 else float(result > 0)
    spread = math.sqrt(first.sigma**2 + second.sigma**2 + 2 * _BETA**2)
    expected = 1 / (1 + math.exp((second.mu - first.mu) / spread))

    def rate(rating: OnlineRating, surprise: float) -> OnlineRating:
        shrinkage = max(1 - expected * (1 - expected) * (rating.sigma / spread) ** 3, _LEAST_SHRINKAGE)
        return OnlineRating(rating.mu + surprise * rating.sigma**2 / spread, rating.sigma * math.sqrt(shrinkage))

    return rate(first, score - expected), rate(second, expected - score)
