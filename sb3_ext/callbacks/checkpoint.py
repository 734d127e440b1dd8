"""Save checkpoints from which training resumes exactly, also after it was killed."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import has_rollouts_of_steps
from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.callbacks.curriculum import CurriculumCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.callbacks.measures.rollout_watch import RolloutWatch
from sb3_ext.callbacks.saving.checkpoint_saver import CheckpointSaver
from sb3_ext.callbacks.saving.part_exchange import PartExchange
from sb3_ext.callbacks.saving.save_triggers import SaveTriggers
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.content import BundleContent, RankPart
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.model.finiteness import has_finite_weights
from sb3_ext.checkpoints.restoration import Restoration
from sb3_ext.checkpoints.state.callback_state import validate_callbacks
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.state.training_state import capture_state
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import SaveOutcome
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.config.callback_schema import CheckpointParams
from sb3_ext.config.evaluation_schema import ReturnSource
from sb3_ext.errors import CheckpointError
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.internals.sb3 import get_total_steps
from sb3_ext.phases import Phases
from sb3_ext.ranges import Positive, PositiveInt
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.vec.snapshots.exactness import Exactness

logger = logging.getLogger(__name__)

_DEFAULTS = CheckpointParams()

Kind = TypeVar("Kind", bound=BaseCallback)


class RunCheckpointCallback(EpisodeCallback):
    """
    Save the best, the latest and periodic checkpoints for an exact resume. In a script::

        checkpoints = RunCheckpointCallback("checkpoints")
        steps = checkpoints.resume_if_possible(model, total_timesteps=100_000)
        model.learn(steps, callback=[…, checkpoints], reset_num_timesteps=False)

    The final state is saved when ``learn`` ends. After an exception, :meth:`close` saves the last state that can be
    continued from.

    Put it last, so that it captures the state between two rollouts after all other callbacks. Training waits only while
    the state is copied; a thread hashes, compresses and writes it. If the disk fails or is full, a warning is logged,
    and training continues without that checkpoint.

    :param directory: directory of the checkpoints, described in :mod:`sb3_ext.checkpoints.store.checkpoint_store`
    :param interval: environment transitions between two checkpoints; ``None`` for none by steps
    :param prefix: prefix of their names
    :param every_episodes: finished episodes between two checkpoints; ``None`` for none by episodes
    :param every_minutes: minutes of training between two checkpoints; ``None`` for none by time
    :param best_by: ``training_return``, the mean of the latest episodes; or ``evaluation``, which needs ``evaluation``
    :param keep_last: number of newest checkpoints to keep; ``None`` keeps all
    :param keep_best: number of best checkpoints to keep
    :param milestone_steps: keep the first checkpoint at or after each multiple of this many transitions
    :param max_disk_bytes: disk budget for all checkpoints; the best and the last two are always kept
    :param evaluation: callback whose evaluations decide which checkpoint is the best
    :param exactness: result of :func:`sb3_ext.vec.snapshots.exactness.self_test` for the environments
    :param inexact_because: why a resume is approximate although the environments are restored; ``None`` if it is exact
    :param phases: phases in which to enter ``saving``; ``None`` for none
    :param group: the ranks that train the model; the others have a :class:`~sb3_ext.callbacks.RankPartCallback` in this
        place. ``None`` for this process alone
    :param save_at_end: save the final state when ``learn`` ends; otherwise, and always with several ranks,
        :meth:`close` does
    :raises ValueError: if a number is out of its range, or ``best_by`` is neither of the two
    """

    state_key = "checkpoint"

    @validate_arguments
    def __init__(
        self,
        directory: Path | str,
        interval: PositiveInt | None = _DEFAULTS.interval,
        *,
        prefix: str = _DEFAULTS.prefix,
        every_episodes: PositiveInt | None = None,
        every_minutes: Positive | None = None,
        best_by: ReturnSource = "training_return",
        keep_last: PositiveInt | None = _DEFAULTS.keep_last,
        keep_best: PositiveInt = _DEFAULTS.keep_best,
        milestone_steps: PositiveInt | None = None,
        max_disk_bytes: PositiveInt | None = None,
        evaluation: EvaluationCallback | None = None,
        exactness: Exactness | None = None,
        inexact_because: str | None = None,
        phases: Phases | None = None,
        group: RankGroup | None = None,
        save_at_end: bool = True,
    ) -> None:
        super().__init__()
        if best_by == "evaluation" and evaluation is None:
            raise ValueError("best_by must be training_return without an evaluation, but got 'evaluation'")
        self.store = CheckpointStore(Path(directory), prefix=prefix)
        self._saver = CheckpointSaver(self.store, Retention(keep_last, keep_best, milestone_steps, max_disk_bytes))
        self._rollouts = RolloutWatch()
        self._triggers = SaveTriggers(interval, every_episodes, every_minutes)
        self._best_by = best_by
        self._evaluation = evaluation
        self._exactness = exactness
        self._inexact_because = inexact_because
        self._phases = phases
        self._group = group
        self._exchange = None if group is None or group.size == 1 else PartExchange(group)
        self._save_at_end = save_at_end and self._exchange is None
        self._has_collected = False
        self._has_started = False
        #: called with the reason why a resume is approximate, ``None`` if it is exact, once everything is restored
        self.on_restored: list[Callable[[str | None], None]] = []
        self._restoration: Restoration | None = None
        # The caller has logged this one already.
        self._logged_reason = inexact_because or (None if exactness is None else exactness.reason)
        self._is_due = False
        self._evaluated: tuple[int, Score] | None = None
        self._saved_step: int | None = None
        self._boundary: BundleContent | None = None
        #: the step of the state that :meth:`finish` saved or tried to save; ``None`` if nothing was trained
        self.final_step: int | None = None
        self._stop_callbacks: list[StopCallback] = []
        if evaluation is not None and best_by == "evaluation":
            evaluation.on_evaluation.append(self._on_evaluation)
            evaluation.on_failure.append(self._saver.release)

    @property
    def on_outcome(self) -> list[Callable[[SaveOutcome], None]]:
        """Listeners, called from the training loop with the outcome of every save."""
        return self._saver.on_outcome

    def resume_if_possible(self, model: BaseAlgorithm, total_timesteps: int) -> int:
        """
        Restore the latest intact checkpoint, if there is one, into a new model.

        :param model: made in the same way as the original one, with its environments
        :param total_timesteps: the original total
        :return: remaining steps for ``learn(…, reset_num_timesteps=False)``
        :raises CheckpointError: if the model differs from the checkpoint's
        """
        bundle = self.store.find_latest(set_aside=True)
        if bundle is not None:
            self.resume_from(bundle, model)
        return max(0, total_timesteps - model.num_timesteps)

    def resume_from(self, bundle: Bundle, model: BaseAlgorithm, *, threads: int | None = None) -> None:
        """
        Restore a checkpoint into a new model. State that ``learn`` resets is restored at its first rollout.

        :param bundle: a verified checkpoint from a trusted source: parts of it are pickled
        :param model: made in the same way as the original one, with its environments
        :param threads: torch's number of threads from now on, which the caller sets; ``None`` restores the checkpoint's
        :raises CheckpointError: if the model differs from the checkpoint's
        """
        placement = None if self._group is None else self._group.placement
        self._restoration = Restoration(bundle, placement, threads=threads)
        replay = self._restoration.begin(model)
        if replay is not None and bundle.path.parent == self.store.directory:
            self._saver.continue_from(model, bundle, replay)
        logger.info("resuming from step %d (%s)", bundle.step, bundle.path)

    def list_kept_steps(self) -> list[int]:
        """:return: steps of the checkpoints on the disk"""
        return [bundle.step for bundle in self.store.list_bundles()]

    def is_boundary_near(self) -> bool:
        """
        Return whether rollouts take less than a second, so that a stop can wait for the end of the rollout. Otherwise
        the state at the start of the rollout is kept in memory, and :meth:`finish` writes it.
        """
        return self._rollouts.is_short

    def is_boundary_ahead(self) -> bool:
        """
        Return whether a budget can wait for the end of the rollout, so that its experience is used. Rollouts of a fixed
        number of steps always end. Rollouts of episodes may not: one is abandoned if it takes longer than ten minutes
        and longer than all earlier rollouts together.
        """
        return has_rollouts_of_steps(self.model) or not self._rollouts.is_overlong()

    @property
    def has_begun(self) -> bool:
        """Whether a rollout has started: before that there is nothing to save."""
        return self._rollouts.has_begun

    def finish(self) -> None:
        """
        Save the final state, and wait until it is on the disk. Call it also after an error; it may be called again.

        If training ended within a rollout or an update, the last state kept between two rollouts is saved: the state at
        the start of the rollout or, if rollouts are short, of about a second ago. NaN or infinite weights are not
        saved.
        """
        if not self.has_begun:
            return  # nothing has been trained
        if self._rollouts.is_at_boundary:
            self.final_step = self.model.num_timesteps
            if self._saved_step != self.model.num_timesteps:
                self._save(after_learn=True)
        elif self._boundary is not None:
            self._write(self._boundary)
        self._saver.wait(self.model.num_timesteps)

    def release_ranks(self) -> None:
        """
        Let the other ranks end, after the last :meth:`finish` that may capture a state. Does nothing without any, or if
        ``learn`` was not called: then they wait for nothing.
        """
        if self._exchange is not None and self._has_started:
            self._exchange.end()

    def wait(self) -> None:
        """Wait until the checkpoints saved so far are on the disk, and pass their outcomes to the listeners."""
        if self.has_begun:
            self._saver.wait(self.model.num_timesteps)

    def find_final_error(self) -> CheckpointError | None:
        """
        Return why the final state is not on the disk. Call it after :meth:`finish`.

        :return: the reason; ``None`` if the state is there
        """
        if self.final_step is None or any(item.step == self.final_step for item in self.store.list_bundles()):
            return None
        missing = f"there is no checkpoint of step {self.final_step} in {self.store.directory}"
        return self._saver.last_error or CheckpointError(missing)

    def close(self) -> None:
        """:meth:`finish`, and end the background thread."""
        self.finish()
        self.release_ranks()
        self._saver.close(self.num_timesteps)

    def save_for_evaluation(self) -> Path:
        """
        Save now, between two rollouts, and keep the checkpoint until its evaluation is recorded.

        :return: path of its ``model.zip``
        """
        step = self.model.num_timesteps
        self._saver.reserve(step)
        self._save()
        self._saver.wait(step)
        return self.store.resolve(step, playing_only=True).model_path

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), **self._triggers.state_dict(), "step": self.model.num_timesteps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._triggers.load_state_dict(state)
        self._triggers.skip_to(state["step"], self.episodes)
        self._saved_step = state["step"]

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._has_started = True
        self._triggers.start(self.num_timesteps, self.episodes)
        self._stop_callbacks = [item for item in list_callbacks(self._callbacks) if isinstance(item, StopCallback)]
        validate_callbacks(self._callbacks)
        if self._restoration is not None:
            self._pause_others(True)  # restoring would discard their results
            if self.model.num_timesteps >= get_total_steps(self.model):  # no rollout follows
                self._finish_restoration(self._restoration)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        if self._restoration is not None:
            self._finish_restoration(self._restoration)
            # At this boundary, the other callbacks were called before their state was restored.
            for evaluation in self._find(EvaluationCallback):
                evaluation.evaluate_if_due()
            for curriculum in self._find(CurriculumCallback):
                curriculum.change_if_due()
            for callback in self._stop_callbacks:
                callback.find_reason_between_rollouts()
        self._rollouts.begin()
        self._saver.report()
        self._has_collected = False
        self._is_due = self._triggers.is_due(self.model.num_timesteps, self.episodes) or self._is_due
        if (self._is_due or self._is_stopping()) and self._saved_step != self.model.num_timesteps:
            self.final_step = self.model.num_timesteps
            self._save()
        elif self._rollouts.should_keep() and has_finite_weights(self.model):
            began_at = time.monotonic()
            self.final_step = self.model.num_timesteps
            self._boundary = self._capture()
            self._rollouts.note_keeping(time.monotonic() - began_at)
        if self._exchange is not None and not self._has_collected:
            self._exchange.skip()

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        self._rollouts.end()

    def _on_training_end(self) -> None:
        super()._on_training_end()
        self._rollouts.end_learning()
        if self._save_at_end:
            self.finish()

    def _finish_restoration(self, restoration: Restoration) -> None:
        restoration.finish(self.model, self._callbacks)
        bundle, reason = restoration.bundle, restoration.inexact_reason
        if reason is not None:
            logger.warning("resuming from step %d (%s); this is approximate: %s", bundle.step, bundle.path, reason)
        for listener in self.on_restored:
            listener(reason)
        self._pause_others(False)
        self._restoration = None

    def _pause_others(self, is_paused: bool) -> None:
        for evaluation in self._find(EvaluationCallback):
            evaluation.is_paused = is_paused
        for curriculum in self._find(CurriculumCallback):
            curriculum.is_paused = is_paused

    def _find(self, kind: type[Kind]) -> Iterator[Kind]:
        return (callback for callback in list_callbacks(self._callbacks) if isinstance(callback, kind))

    def _is_stopping(self) -> bool:
        return any(callback.stop_reason is not None for callback in self._stop_callbacks)

    def _save(self, *, after_learn: bool = False) -> None:
        self._is_due = False
        if not has_finite_weights(self.model):
            self._saver.last_error = CheckpointError(f"the weights are not finite at step {self.model.num_timesteps}")
            logger.error("%s; no checkpoint is saved", self._saver.last_error)
            return
        with self._saving():
            content = self._capture(after_learn=after_learn)
            if content is not None:
                self._write(content)

    def _capture(self, *, after_learn: bool = False) -> BundleContent | None:
        def capture_more() -> dict[str, Any]:
            state = capture_state(self.model, self._callbacks, exactness=self._exactness, after_learn=after_learn)
            return {"episode": self.episodes, "score": self._compute_score(), "state": state, "parts": self._collect()}

        content = self._saver.capture(self.model, capture_more)
        if content is None:
            return None
        if self._inexact_because is not None:
            content = dataclasses.replace(content, exactness=Exactness(False, self._inexact_because))
        if not content.exactness.exact and content.exactness.reason != self._logged_reason:
            self._logged_reason = content.exactness.reason
            logger.warning("resuming from these checkpoints will be approximate: %s", self._logged_reason)
        return content

    def _collect(self) -> list[RankPart]:
        """:return: the parts of the other ranks, if there are any"""
        if self._exchange is None:
            return []
        self._has_collected = self._exchange.is_connected
        return self._exchange.collect(self._saver.part_replays)

    def _write(self, content: BundleContent) -> None:
        self._saved_step = content.step
        self._boundary = None
        self._saver.save(content)

    def _compute_score(self) -> Score | None:
        if self._best_by == "evaluation":
            step, score = self._evaluated or (None, None)
            return score if step == self.model.num_timesteps else None
        buffer = self.model.ep_info_buffer
        value = float(safe_mean([episode["r"] for episode in buffer])) if buffer else math.nan
        return Score(value, self._best_by) if math.isfinite(value) else None

    def _on_evaluation(self, step: int, evaluation: Evaluation) -> None:
        if not math.isfinite(evaluation.mean_return):
            return
        score = Score(evaluation.mean_return, self._best_by)
        if step == self._saved_step or step != self.model.num_timesteps:
            self._saver.record_score(step, score)
        else:
            self._evaluated = (step, score)
            self._is_due = self._is_due or (self._evaluation is not None and self._evaluation.best_step == step)

    @property
    def _callbacks(self) -> BaseCallback:
        """All callbacks of ``learn``, from the local variables of the training loop."""
        root: BaseCallback = self.locals.get("callback", self)
        return root

    def _saving(self) -> AbstractContextManager[None]:
        return nullcontext() if self._phases is None else self._phases.during("saving")
