"""Save checkpoints during training; errors are logged and do not end training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.content import BundleContent
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import BundleWriter, SaveOutcome
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.errors import CheckpointError

logger = logging.getLogger(__name__)


class CheckpointSaver:
    """
    Write checkpoints in a background thread, and log errors as warnings instead of raising them.

    The directory is created by the first save.

    :param store: the store to save to
    :param retention: rules by which old checkpoints are removed after each successful save
    """

    def __init__(self, store: CheckpointStore, retention: Retention) -> None:
        #: called with the outcome of every save, from the training loop
        self.on_outcome: list[Callable[[SaveOutcome], None]] = []
        #: why the last save failed; ``None`` if it succeeded
        self.last_error: CheckpointError | None = None
        self._store = store
        self._retention = retention
        self._lazy_writer: BundleWriter | None = None
        self._is_failing = False

    def continue_from(self, model: BaseAlgorithm, bundle: Bundle, replay: ReplayIndex) -> None:
        """See :meth:`sb3_ext.checkpoints.store.checkpoint_writer.BundleWriter.continue_from`."""
        self._writer.continue_from(model, bundle, replay)

    @property
    def part_replays(self) -> list[ReplayIndex | None]:
        """See :attr:`sb3_ext.checkpoints.store.checkpoint_writer.BundleWriter.part_replays`."""
        return self._writer.part_replays

    def capture(self, model: BaseAlgorithm, capture_more: Callable[[], dict[str, Any]]) -> BundleContent | None:
        """
        :param model: the model, between two rollouts
        :param capture_more: returns further arguments of :func:`sb3_ext.checkpoints.bundle.content.capture_content`
        :return: the copy; ``None`` if it cannot be made
        """
        content: list[BundleContent] = []
        self._try(model.num_timesteps, lambda: content.append(self._writer.capture(model, **capture_more())))
        return content[0] if content else None

    def save(self, content: BundleContent) -> None:
        """
        Write in a background thread, after the previous save.

        :param content: content from :meth:`capture`
        """
        self.wait(content.step)
        self._try(content.step, lambda: self._writer.save(content))

    def record_score(self, step: int, score: Score) -> None:
        """
        Record the score of an evaluation that has ended since, and release the checkpoint.

        :param step: step of the checkpoint
        :param score: its score
        """
        self.wait(step)
        self._try(step, lambda: self._writer.record_score(step, score))
        self.release(step)

    def reserve(self, step: int) -> None:
        """Keep a checkpoint until :meth:`release`, also if the retention rules would remove it."""
        self._writer.spared.add(step)

    def release(self, step: int) -> None:
        """Allow the retention rules to remove a checkpoint again."""
        self._writer.spared.discard(step)

    def wait(self, step: int) -> None:
        """
        Wait until the last save is on the disk.

        :param step: environment transitions so far
        """
        self._try(step, self._writer.flush)

    def report(self) -> None:
        """Report the outcomes of the saves that have ended since the last call."""
        for outcome in self._writer.take_outcomes():
            self._tell(outcome)

    def close(self, step: int) -> None:
        """
        :meth:`wait`, and end the background thread.

        :param step: environment transitions so far
        """
        if self._lazy_writer is not None:
            self._try(step, self._lazy_writer.close)

    def _try(self, step: int, job: Callable[[], None]) -> None:
        try:
            job()
        except CheckpointError as error:
            self._tell(SaveOutcome(step, None, error, 0.0))
        self.report()

    def _tell(self, outcome: SaveOutcome) -> None:
        if outcome.error is not None and not self._is_failing:
            logger.warning("no checkpoint at step %d; training continues: %s", outcome.step, outcome.error)
        self._is_failing = outcome.error is not None
        self.last_error = outcome.error
        for listener in self.on_outcome:
            listener(outcome)

    @property
    def _writer(self) -> BundleWriter:
        if self._lazy_writer is None:
            self._lazy_writer = BundleWriter(self._store, retention=self._retention)
        return self._lazy_writer
