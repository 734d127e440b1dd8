"""Train on a GPU."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.training_exercise import TrainingExercise


class GpuExercise(TrainingExercise):
    """Train with the model on a GPU, if torch finds one."""

    name = "train on a GPU"

    def examine(self, directory: Path) -> Finding:
        import torch

        if not torch.cuda.is_available():
            return Finding("SKIPPED", "torch finds no GPU with CUDA")
        return super().examine(directory)
