"""Film."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, skip_without, train_task
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.errors import ExerciseError


class FilmExercise(Exercise):
    """Film an episode without a screen."""

    name = "film"

    def examine(self, directory: Path) -> Finding:
        from PIL import Image

        skipped = skip_without("pygame", "video")
        if skipped is not None:
            return skipped
        run = train_task(self.task, directory)
        run_program(directory, "enjoy", str(run.paths.root), "--video", "film.gif", "--episodes", "1")
        with Image.open(directory / "film.gif") as film:
            frames, size = getattr(film, "n_frames", 1), film.size
        if frames < 2:
            raise ExerciseError(f"the film has {frames} frame, expected one for each step")
        return Finding("OK", f"film.gif: {frames} frames of {size[0]} x {size[1]} pixels")
