"""Tune."""

from __future__ import annotations

import csv
from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, skip_without
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.doctor.exercises.small_tasks import SmallTask
from sb3_ext.errors import ExerciseError

_ENDS = {"COMPLETE", "PRUNED"}


class TuningExercise(Exercise):
    """
    Search for hyperparameters in some trials.

    :param task: the task
    :param trials: number of trials
    :param jobs: number of worker processes
    """

    name = "tune"

    def __init__(self, task: SmallTask, *, trials: int, jobs: int) -> None:
        super().__init__(task)
        self._trials = trials
        self._jobs = jobs

    def examine(self, directory: Path) -> Finding:
        from sb3_ext.config import load_config

        skipped = skip_without("optuna", "tune")
        if skipped is not None:
            return skipped
        numbers = "--trials", str(self._trials), "--jobs", str(self._jobs)
        run_program(
            directory, "tune", self.task.write(directory), *numbers, "--study-dir", "study", "--quiet",
            "--set", "train.total_steps=1024",
        )  # fmt: skip
        with (directory / "study" / "trials.csv").open(newline="") as file:
            states = [row["state"].upper() for row in csv.DictReader(file)]
        if len(states) != self._trials or not set(states) <= _ENDS:
            raise ExerciseError(f"the trials are {', '.join(states) or 'none'}, expected {self._trials} complete ones")
        load_config(directory / "study" / "best.yaml")
        return Finding("OK", f"{self._trials} trials with {self._jobs} at a time")
