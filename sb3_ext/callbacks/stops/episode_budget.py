"""Stop after a number of episodes."""

from __future__ import annotations

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.ranges import PositiveInt


class EpisodeBudgetCallback(StopCallback, EpisodeCallback):
    """
    Stop training after a number of episodes, with the reason ``total_episodes``.

    It may be a few more if several environments finish episodes in the same step; ARS reports a generation at a time.

    :param episodes: number of episodes over all environments
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
        """Used share of the budget; 1 or more when it is used up."""
        return self.episodes / self._budget_episodes

    def _find_stop_reason(self) -> str | None:
        return "total_episodes" if self.episodes >= self._budget_episodes else None
