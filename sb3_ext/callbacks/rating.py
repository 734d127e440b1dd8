"""Rate the agent during training against opponents."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.selfplay.matches.ratings import OnlineRating, OnlineRatings


class RatingCallback(EpisodeCallback):
    """
    Rate the agent and its opponents after every game, and log the agent's rating: ``rating/mu``, ``rating/sigma``.

    Games are episodes whose last ``info`` has ``opponent`` and ``result``, as with ``SelfPlayVecEnv``. Other episodes
    are ignored.

    :param past_self_prefix: prefix of the names of earlier copies of the agent, which start with its rating
    :param unrated: opponents to ignore, such as the agent itself
    """

    state_key = "rating"

    def __init__(self, past_self_prefix: str | None = None, unrated: Collection[str] = ()) -> None:
        super().__init__()
        self.ratings = OnlineRatings()
        #: called with the agent's rating after every rollout that has changed it
        self.on_rating: list[Callable[[OnlineRating], None]] = []
        self._past_self_prefix = past_self_prefix
        self._unrated = frozenset(unrated)
        self._shown_games = 0

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "ratings": self.ratings.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self.ratings.load_state_dict(state["ratings"])
        self._shown_games = 0

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        opponent, result = info.get("opponent"), info.get("result")
        if opponent is None or result is None or opponent in self._unrated:
            return
        if self._past_self_prefix is not None and opponent.startswith(self._past_self_prefix):
            self.ratings.add_past_self(opponent)
        self.ratings.record(opponent, result)

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        if self.ratings.games > self._shown_games:
            self._shown_games = self.ratings.games
            self.logger.record("rating/mu", self.ratings.agent.mu)
            self.logger.record("rating/sigma", self.ratings.agent.sigma)
            for listener in self.on_rating:
                listener(self.ratings.agent)
