"""Stop after a number of episodes."""

from __future__ import annotations

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.ranges import PositiveInt


class EpisodeBudgetCallback(StopCallback, EpisodeCallback):
    """
    Ends training when enough episodes have finished, for the reason ``total_episodes``.

    Several environments may finish episodes in the same step, and ARS reports a generation at a time, so it can be
    some more than asked for.

    :param episodes: how many episodes to train, over all environments
    :param at_boundary: stop only between two rollouts
    :raises ValueError: if a number is out of its range
    """

    state_key = "episode_budget"
    is_patient = True

    @validate_arguments
    def __init__(self, episodes: PositiveInt, *, at_boundary: AtBoundary = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._budget_episodes = episodes

    @property
    def used_share(self) -> float:
        """How much of the budget is used, from 0; 1 and more: all of it."""
        return self.episodes / self._budget_episodes

    def _find_stop_reason(self) -> str | None:
        return "total_episodes" if self.episodes >= self._budget_episodes else None
