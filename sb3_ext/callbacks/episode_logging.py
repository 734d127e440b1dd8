"""Log every so many episodes, whatever the algorithm."""

from __future__ import annotations

import time
from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import heeds_callbacks
from sb3_ext.callbacks.measures.throughput import Throughput
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.ranges import PositiveInt
from sb3_ext.triggers import EveryEpisodes

_DEFAULTS = TrainConfig()


class EpisodeLoggingCallback(EpisodeCallback):
    """
    Dumps the model's log every so many episodes, in place of ``learn(log_interval=…)``.

    What one interval counts differs between algorithms (iterations, episodes, updates), so pass
    ``log_interval=None`` to ``learn``. Dumps happen between rollouts, after the update, and once more when training
    ends.

    :param every_episodes: finished episodes between two dumps
    :param every_steps: environment transitions after which to dump anyhow: episodes may be long
    :param total_steps: the step at which training ends, to log the time left; ``None`` if that is not known
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
    ) -> None:
        super().__init__()
        self._episode_trigger = EveryEpisodes(every_episodes)
        self._max_steps_between_dumps = every_steps
        self._total_steps = total_steps
        self._throughput = Throughput()
        self._dumped_step = 0

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._episode_trigger.skip_to(self.episodes)

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._dumped_step = self.num_timesteps
        self._throughput = Throughput()
        self._throughput.add(time.monotonic(), self.num_timesteps)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        if heeds_callbacks(self.model):
            self._dump_if_due()

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        # ARS forgets its episodes before the next rollout starts; the log of its update appears one dump late.
        if not heeds_callbacks(self.model):
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
        self._throughput.add(time.monotonic(), self._dumped_step)
        eta_seconds = self._throughput.estimate_eta_seconds(self._total_steps, has_ended=has_ended)
        if eta_seconds is not None:
            self.logger.record("time/eta_seconds", eta_seconds, exclude="tensorboard")
        self.model.dump_logs()
