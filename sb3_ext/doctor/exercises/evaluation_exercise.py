"""Evaluate."""

from __future__ import annotations

import json
from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, train_task
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.errors import ExerciseError


class EvaluationExercise(Exercise):
    """Evaluate the best checkpoint in another process, and compare with the evaluation during the training."""

    name = "evaluate"

    def examine(self, directory: Path) -> Finding:
        from sb3_ext.reports.evaluations import read_evaluations

        run = train_task(self.task, directory)
        run_program(directory, "enjoy", str(run.paths.root), "--json", "evaluation.json")
        found = json.loads((directory / "evaluation.json").read_text())
        recorded = max(read_evaluations(run.paths.evaluations), key=lambda evaluation: float(evaluation["mean_return"]))
        expected = recorded["mean_return"], recorded["episodes"]
        if (found["mean_return"], found["episodes"]) != expected:
            raise ExerciseError(
                f"the best checkpoint has a mean return of {found['mean_return']} in {found['episodes']} episodes, "
                f"expected {expected[0]} in {expected[1]}, as during the training"
            )
        return Finding("OK", f"mean return {found['mean_return']:.1f}, the same as during the training")
