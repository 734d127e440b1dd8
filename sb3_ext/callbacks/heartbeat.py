"""Keep a status file up to date during training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.utils import safe_mean
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.callbacks.measures.training_outlook import TrainingOutlook
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.internals.sb3 import get_torch_names, get_total_steps
from sb3_ext.phases import Phases
from sb3_ext.ranges import PositiveInt
from sb3_ext.runs.status import RunStatus, StatusFile
from sb3_ext.triggers import EverySteps

_DEFAULTS = TrainConfig()

# DQN changes phase every few steps, and a fast environment takes 100 steps within milliseconds; a beat takes nearly a
# millisecond, since file systems write a file that replaces another one at once.
_MIN_SECONDS_BETWEEN_BEATS = 1.0
# An environment may need a second for one step: 100 of them would look like a stall.
_MAX_SECONDS_BETWEEN_BEATS = 10.0
_PHASES_OF_THE_LOOP = ("collecting", "updating")


class HeartbeatCallback(EpisodeCallback):
    """
    Write step, episodes, speed, phase and time to a status file from the training loop.

    It uses no thread, since a thread would keep updating the file while an environment hangs. During a long update,
    the file is updated at optimizer steps. It is written at most once a second.

    :param status: the status to update; or a path of a status file that this callback creates and ends with
        ``completed`` or ``stopped``
    :param every_steps: environment transitions between two updates
    :param phases: phases shared with other callbacks; ``None`` for new ones
    :param total_steps: step at which training ends; ``None`` if unknown
    :param budgets: further bounds, such as a :class:`TimeBudgetCallback`; without any bound there is no ETA
    :raises ValueError: if a number is out of its range
    """

    state_key = "heartbeat"
    is_patient = True

    @validate_arguments
    def __init__(
        self,
        status: StatusFile | Path | str,
        every_steps: PositiveInt = _DEFAULTS.status_every_steps,
        phases: Phases | None = None,
        total_steps: PositiveInt | None = None,
        budgets: Sequence[Budget] = (),
    ) -> None:
        super().__init__()
        self._path = None if isinstance(status, StatusFile) else Path(status)
        self._status = status if isinstance(status, StatusFile) else None
        self._trigger = EverySteps(every_steps)
        self._phases = Phases() if phases is None else phases
        self._total_steps = total_steps
        self._outlook = TrainingOutlook(total_steps, budgets)
        self._may_beat_at = 0.0
        self._must_beat_at = 0.0
        self._optimizer_hooks: list[RemovableHandle] = []
        self._is_beating = False

    def close(self) -> None:
        """Write the final status unless the end of training has done so, for example after an exception."""
        if self._is_beating:
            self._end()
            self._beat(has_ended=True)

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self._path is not None:
            self._status = StatusFile(self._path, RunStatus.begin())
        self._is_beating = True
        self._outlook.restart()
        self._trigger.skip_to(self.num_timesteps)
        self._phases.listeners.append(self._on_phase)
        for optimizer in _list_optimizers(self.model):
            self._optimizer_hooks.append(optimizer.register_step_post_hook(self._on_optimizer_step))
        self._beat()

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self._phases.enter("collecting")

    def _on_step(self) -> bool:
        super()._on_step()
        now = time.monotonic()
        if now >= self._may_beat_at and (self._trigger.is_due(self.num_timesteps) or now >= self._must_beat_at):
            self._beat()
        return True

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        self._phases.enter("updating")

    def _on_training_end(self) -> None:
        self._end()
        self._phases.enter("finished")
        if self._path is not None:
            assert self._status is not None
            is_complete = self.model.num_timesteps >= get_total_steps(self.model)
            self._status.update(
                status="completed" if is_complete else "stopped", stop_reason="total_steps" if is_complete else None
            )
        self._beat(has_ended=True)

    def _end(self) -> None:
        self._is_beating = False
        for hook in self._optimizer_hooks:
            hook.remove()
        self._optimizer_hooks.clear()
        self._phases.listeners.remove(self._on_phase)

    def _on_phase(self, name: str) -> None:
        # Evaluating and saving are rare and may take long: write them at once.
        if name not in _PHASES_OF_THE_LOOP or time.monotonic() >= self._may_beat_at:
            self._beat()

    def _on_optimizer_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if time.monotonic() >= self._may_beat_at:
            self._beat()

    def _beat(self, *, has_ended: bool = False) -> None:
        assert self._status is not None
        now = time.monotonic()
        self._may_beat_at = now + _MIN_SECONDS_BETWEEN_BEATS
        self._must_beat_at = now + _MAX_SECONDS_BETWEEN_BEATS
        step = self.model.num_timesteps
        self._outlook.add(now, step)
        latest = self.model.ep_info_buffer
        self._status.update(
            phase=self._phases.current,
            step=step,
            total_steps=self._total_steps,
            episode=self.episodes,
            epsilon=getattr(self.model, "exploration_rate", None),
            fps=self._outlook.fps,
            used_share=self._outlook.used_share,
            eta_seconds=self._outlook.estimate_eta_seconds(has_ended=has_ended),
        )
        if latest:  # ARS empties it at the beginning of each generation
            mean = float(safe_mean([episode["r"] for episode in latest]))
            self._status.update(episode_return_mean=mean)
        self._status.write()


def _list_optimizers(model: BaseAlgorithm) -> list[Optimizer]:
    attributes = [recursive_getattr(model, name) for name in get_torch_names(model)[0]]
    return [attribute for attribute in attributes if isinstance(attribute, Optimizer)]
