"""Several seeds."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, check_completed
from sb3_ext.doctor.exercises.kill_exercise import compare_models
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.errors import ExerciseError
from sb3_ext.runs.run_registry import find_runs


class SeedsExercise(Exercise):
    """Train two seeds at the same time, in processes of their own."""

    name = "several seeds"

    def examine(self, directory: Path) -> Finding:
        run_program(
            directory, "train", self.task.write(directory), "--seeds", "0..1", "--jobs", "2", "--run-dir", "seeds",
            "--quiet",
        )  # fmt: skip
        runs = find_runs(directory / "seeds")
        if [run.name for run in runs] != ["seed_0", "seed_1"]:
            raise ExerciseError(f"found the runs {[run.name for run in runs]}, expected seed_0 and seed_1")
        for run in runs:
            check_completed(run, self.task)
        if not compare_models(*runs):
            raise ExerciseError("two seeds have the same weights")
        return Finding("OK", f"{self.task.name}: 2 seeds at a time")
