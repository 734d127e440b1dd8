"""Log at a fixed interval of episodes, for every algorithm."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import has_stock_loop
from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.callbacks.measures.training_outlook import TrainingOutlook
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.ranges import PositiveInt
from sb3_ext.triggers import EveryEpisodes

_DEFAULTS = TrainConfig()


class EpisodeLoggingCallback(EpisodeCallback):
    """
    Dump the model's log at a fixed interval of episodes, instead of ``learn(log_interval=…)``.

    SB3's ``log_interval`` counts iterations, episodes or updates, depending on the algorithm; pass
    ``log_interval=None`` to ``learn``. The log is dumped between rollouts, after the update, and at the end of
    training.

    :param every_episodes: finished episodes between two dumps
    :param every_steps: maximum number of environment transitions between two dumps, for long episodes
    :param total_steps: step at which training ends, to log the time left; ``None`` if unknown
    :param budgets: further bounds, such as a :class:`TimeBudgetCallback`
    :raises ValueError: if a number is out of its range
    """

    state_key = "episode_logging"

    @validate_arguments
    def __init__(
        self,
        every_episodes: PositiveInt = _DEFAULTS.log_every_episodes,
        *,
        every_steps: PositiveInt = 10_000,
        total_steps: PositiveInt | None = None,
        budgets: Sequence[Budget] = (),
    ) -> None:
        super().__init__()
        self._episode_trigger = EveryEpisodes(every_episodes)
        self._max_steps_between_dumps = every_steps
        self._outlook = TrainingOutlook(total_steps, budgets)
        self._dumped_step = 0

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._episode_trigger.skip_to(self.episodes)

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._dumped_step = self.num_timesteps
        self._outlook.restart()
        self._outlook.add(time.monotonic(), self.num_timesteps)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        if has_stock_loop(self.model):
            self._dump_if_due()

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        # ARS clears its episodes before the next rollout starts; the log of its update is dumped one rollout late.
        if not has_stock_loop(self.model):
            self._dump_if_due()

    def _on_training_end(self) -> None:
        if self.model.num_timesteps > self._dumped_step:
            self._dump(has_ended=True)

    def _dump_if_due(self) -> None:
        is_overdue = self.model.num_timesteps - self._dumped_step >= self._max_steps_between_dumps
        if self._episode_trigger.is_due(self.episodes) or is_overdue:
            self._dump()

    def _dump(self, *, has_ended: bool = False) -> None:
        self._dumped_step = self.model.num_timesteps
        self._outlook.add(time.monotonic(), self._dumped_step)
        eta_seconds = self._outlook.estimate_eta_seconds(has_ended=has_ended)
        if eta_seconds is not None:
            self.logger.record("time/eta_seconds", eta_seconds, exclude="tensorboard")
        self.model.dump_logs()
