"""Train."""

from __future__ import annotations

import math
from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, train_task
from sb3_ext.errors import ExerciseError

_FILES = ("config.resolved.yaml", "meta.json", "metrics.json", "evaluations.jsonl", "training_curves.png")


class TrainingExercise(Exercise):
    """Train a task, and look for its results and an intact checkpoint."""

    name = "train"

    def examine(self, directory: Path) -> Finding:
        run = train_task(self.task, directory)
        missing = [name for name in _FILES if not (run.paths.root / name).exists()]
        if missing:
            raise ExerciseError(f"the training has not written {', '.join(missing)}")
        from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore

        bundle = CheckpointStore(run.paths.checkpoints).resolve("latest")  # verifies it
        record = run.record
        if bundle.step != record.step:
            raise ExerciseError(f"the latest checkpoint is of step {bundle.step:,}, expected {record.step:,}")
        mean = record.episode_return_mean
        if mean is None or not math.isfinite(mean):
            raise ExerciseError(f"the mean return is {mean}, expected a number")
        return Finding("OK", f"{self.task.name}: {record.step:,} steps, {record.episode:,} episodes")
