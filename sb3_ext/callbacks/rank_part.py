"""Capture and restore what checkpoints contain of a rank other than rank 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.callbacks.curriculum import CurriculumCallback
from sb3_ext.callbacks.measures.rollout_watch import RolloutWatch
from sb3_ext.callbacks.saving.part_exchange import PartExchange
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.content import RankPart, capture_part
from sb3_ext.checkpoints.restoration import Restoration
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.internals.sb3 import get_total_steps
from sb3_ext.ranks.rank_group import RankGroup


class RankPartCallback(LightCallback):
    """
    Capture and restore what checkpoints contain of a rank other than rank 0. Rank 0 has a
    :class:`~sb3_ext.callbacks.RunCheckpointCallback` in this place, which decides when, and writes the files::

        with RankGroup.join() as group:
            if group.is_leader:
                checkpoints = RunCheckpointCallback("checkpoints", group=group)
            else:
                checkpoints = RankPartCallback(group)
            …
            model.learn(…, callback=[DataParallelCallback(group), …, SharedStopCallback(group), checkpoints])
            checkpoints.close()

    Put it last.

    :param group: the ranks
    """

    def __init__(self, group: RankGroup) -> None:
        super().__init__()
        self._group = group
        self._exchange = PartExchange(group)
        self._rollouts = RolloutWatch()
        self._restoration: Restoration | None = None
        self._has_ended = False
        #: called with the reason why a resume is approximate, ``None`` if it is exact, once everything is restored
        self.on_restored: list[Callable[[str | None], None]] = []

    def resume_from(self, bundle: Bundle, model: BaseAlgorithm, *, threads: int | None = None) -> None:
        """
        Restore a checkpoint into a new model, as :meth:`RunCheckpointCallback.resume_from` does on rank 0.

        :param bundle: a verified checkpoint from a trusted source
        :param model: made in the same way as the original one, with its environments
        :param threads: torch's number of threads from now on, which the caller sets; ``None`` restores the checkpoint's
        :raises CheckpointError: if the model differs from the checkpoint's
        """
        self._restoration = Restoration(bundle, self._group.placement, threads=threads)
        self._restoration.begin(model)

    def is_boundary_near(self) -> bool:
        """:return: whether rollouts take less than a second, so that a stop can wait for the end of the rollout"""
        return self._rollouts.is_short

    def finish(self) -> None:
        """Send what rank 0 requests after ``learn``, until it has saved the final state. Call it after ``learn``."""
        if not self._has_ended:
            self._has_ended = True
            self._exchange.answer_until_end(partial(self._capture, after_learn=True))

    def close(self) -> None:
        """Release resources."""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        called = list_callbacks(self._callbacks)
        self._stop_callbacks = [item for item in called if isinstance(item, StopCallback)]
        self._curricula = [item for item in called if isinstance(item, CurriculumCallback)]
        if self._restoration is None:
            return
        for curriculum in self._curricula:
            curriculum.is_paused = True
        if self.model.num_timesteps >= get_total_steps(self.model):
            self._finish_restoration(self._restoration)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        if self._restoration is not None:
            self._finish_restoration(self._restoration)
            for curriculum in self._curricula:
                curriculum.change_if_due()
            for callback in self._stop_callbacks:
                callback.find_reason_between_rollouts()
        self._rollouts.begin()
        self._exchange.answer(self._capture)

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        self._rollouts.end()

    def _finish_restoration(self, restoration: Restoration) -> None:
        restoration.finish(self.model, self._callbacks)
        for listener in self.on_restored:
            listener(restoration.inexact_reason)
        for curriculum in self._curricula:
            curriculum.is_paused = False
        self._restoration = None

    def _capture(self, replay_since: ReplayIndex | None, *, after_learn: bool = False) -> RankPart:
        return capture_part(
            self.model,
            self._callbacks,
            ranks=self._group.size,
            replay_since=replay_since,
            after_learn=after_learn,
        )

    @property
    def _callbacks(self) -> BaseCallback:
        root: BaseCallback = self.locals.get("callback", self)
        return root
