"""Write checkpoints in a background thread, one at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.content import BundleContent, RankPart, capture_content
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.bundle.replay_files import LostRowsError, read_replay_index
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.errors import CheckpointError


@dataclass(frozen=True)
class SaveOutcome:
    """
    The outcome of a save.

    :param step: step of the checkpoint
    :param bundle: the checkpoint; ``None`` if it could not be written
    :param error: error of the save or, with a bundle, of the removal of old ones; ``None`` without an error
    :param seconds: duration of the save
    """

    step: int
    bundle: Bundle | None
    error: CheckpointError | None
    seconds: float


class BundleWriter:
    """
    Writes captured checkpoints in a background thread; a second save waits for the first.

    ::

        with BundleWriter(store) as writer:
            ...
            writer.save(writer.capture(model))       # at a boundary
            for outcome in writer.take_outcomes():   # at any time
                ...

    An error that :meth:`take_outcomes` has not returned is raised by the next :meth:`save`, :meth:`flush` or
    :meth:`close`.

    :param store: the store to write to
    :param retention: rules by which old checkpoints are removed after each save; ``None`` removes none
    """

    def __init__(self, store: CheckpointStore, *, retention: Retention | None = None) -> None:
        self.store = store
        self.retention = retention
        self.spared: set[int] = set()
        """Steps of checkpoints that are never removed, such as those whose evaluation has not ended."""
        store.prepare()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")
        self._pending: Future[None] | None = None
        self._outcomes: deque[SaveOutcome] = deque()
        self._buffer: Any = None
        self._replay: ReplayIndex | None = None
        self._part_replays: list[ReplayIndex | None] = []
        self._previous: Bundle | None = None

    @property
    def part_replays(self) -> list[ReplayIndex | None]:
        """Indices of the replay rows of the other ranks that are on the disk, from rank 1 on; empty before a save."""
        self._wait()
        return list(self._part_replays)

    def continue_from(self, model: BaseAlgorithm, bundle: Bundle, replay: ReplayIndex) -> None:
        """
        Let the next save share the replay rows of the bundle that the model was restored from.

        :param model: the restored model
        :param bundle: the bundle
        :param replay: index from :func:`sb3_ext.checkpoints.bundle.replay_files.restore_replay`
        """
        self._wait()
        self._buffer, self._replay, self._previous = getattr(model, "replay_buffer", None), replay, bundle
        self._part_replays = read_part_replays(bundle)

    def capture(
        self,
        model: BaseAlgorithm,
        *,
        episode: int = 0,
        score: Score | None = None,
        state: CapturedState | None = None,
        parts: Sequence[RankPart] = (),
    ) -> BundleContent:
        """
        Copy everything that training will change. With a replay buffer, first wait for a pending save, since its result
        decides which rows to copy.

        :param model: the model, between two rollouts
        :param episode: episodes finished so far
        :param score: its score, if known
        :param state: further state for an exact resume
        :param parts: parts of the other ranks
        :return: the copy
        :raises CheckpointError: if the model has an attribute that cannot be pickled
        """
        buffer = getattr(model, "replay_buffer", None)
        if buffer is not None:
            self._wait()
        if buffer is not self._buffer:
            self._buffer, self._replay = buffer, None
        return capture_content(model, episode=episode, score=score, state=state, replay_since=self._replay, parts=parts)

    def save(self, content: BundleContent) -> None:
        """
        Write a checkpoint in the background.

        :param content: content from :meth:`capture`
        :raises CheckpointError: if an earlier save failed and its outcome was not taken; nothing is saved then
        """
        self.flush()
        self._pending = self._executor.submit(self._run, content.step, lambda: self._save(content))

    def record_score(self, step: int, score: Score) -> None:
        """
        Record the score of an evaluation that has ended since, in the background.

        :param step: step of the checkpoint
        :param score: its score
        :raises CheckpointError: if an earlier save failed and its outcome was not taken
        """
        self.flush()
        self._pending = self._executor.submit(self._run, step, lambda: self.store.record_score(step, score))

    def take_outcomes(self) -> list[SaveOutcome]:
        """
        :return: outcomes of the saves that have ended since the last call, in order
        """
        taken = []
        while self._outcomes:
            taken.append(self._outcomes.popleft())
        return taken

    def flush(self) -> None:
        """
        Wait until the last save is on the disk.

        :raises CheckpointError: if an earlier save failed and its outcome was not taken
        """
        self._wait()
        for outcome in list(self._outcomes):
            if outcome.error is not None:
                self._outcomes.remove(outcome)
                raise outcome.error

    def close(self) -> None:
        """
        :meth:`flush`, and end the background thread.

        :raises CheckpointError: if an earlier save failed and its outcome was not taken
        """
        try:
            self.flush()
        finally:
            self._executor.shutdown()

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self) -> None:
        if self._pending is not None:
            wait([self._pending])  # may be interrupted
            pending, self._pending = self._pending, None
            pending.result()

    def _run(self, step: int, job: Callable[[], Bundle]) -> None:
        start, bundle, error = time.monotonic(), None, None
        try:
            bundle = job()
            if self.retention is not None:
                self.store.prune(self.retention, spare=self.spared)
        except CheckpointError as found:
            error = found
        except OSError as found:
            error = CheckpointError(f"checkpoint of step {step}: {found}")
            error.__cause__ = found
        self._outcomes.append(SaveOutcome(step, bundle, error, time.monotonic() - start))

    def _save(self, content: BundleContent) -> Bundle:
        try:
            bundle = self.store.add(content, self._previous)
        except LostRowsError:
            self._previous, self._replay, self._part_replays = None, None, []
            raise
        self._previous = bundle
        self._replay = read_replay_index(bundle.path) if bundle.has_replay else None
        self._part_replays = read_part_replays(bundle)
        self.store.update_links()
        return bundle


def read_part_replays(bundle: Bundle) -> list[ReplayIndex | None]:
    """
    :param bundle: a bundle
    :return: indices of the replay rows of its ranks, from rank 1 on; ``None`` for a rank without a replay buffer
    """
    folders = map(bundle.get_part_path, range(1, bundle.manifest.ranks))
    return [read_replay_index(folder) if bundle.has_replay else None for folder in folders]
