"""Learn."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.errors import ExerciseError
from sb3_ext.runs.run import Run

_STEPS = 25_000
_RANDOM_RETURN, _EXPECTED_RETURN = 22, 100


class LearningExercise(Check):
    """Train a shipped configuration until it is much better than random actions, which wrong arithmetic prevents."""

    name = "learn"

    def examine(self, directory: Path) -> Finding:
        from sb3_ext.reports.evaluations import read_evaluations

        arguments = "--total-steps", str(_STEPS), "--set", "eval.every_steps=5000", "--run-dir", "run", "--quiet"
        run_program(directory, "train", "cartpole_ppo", *arguments)
        evaluations = read_evaluations(Run(directory / "run").paths.evaluations)
        best = max(float(evaluation["mean_return"]) for evaluation in evaluations)
        if best < _EXPECTED_RETURN:
            raise ExerciseError(
                f"cartpole_ppo has a mean return of {best:.1f} after {_STEPS:,} steps, expected {_EXPECTED_RETURN} or "
                f"more; random actions have {_RANDOM_RETURN}"
            )
        return Finding("OK", f"cartpole_ppo: mean return {best:.1f} after {_STEPS:,} steps or less")
