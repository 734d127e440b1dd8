"""Kill, resume, and compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, check_completed, skip_without, train_task
from sb3_ext.doctor.exercises.program import Program
from sb3_ext.doctor.exercises.small_tasks import SmallTask
from sb3_ext.errors import ExerciseError
from sb3_ext.runs.run import Run

_ATTEMPTS = 3
_ADVICE = "open an issue with this report: a resumed run must have the weights of an uninterrupted one"


class KillExercise(Exercise):
    """Train a task twice, once killed by ``kill -9`` and resumed, and compare weights and optimizers bit by bit."""

    def __init__(self, task: SmallTask) -> None:
        super().__init__(task)
        self.name = f"kill and resume: {task.name}"

    def examine(self, directory: Path) -> Finding:
        skipped = skip_without(self.task.module, self.task.extra)
        if skipped is not None:
            return skipped
        whole = train_task(self.task, directory)
        self.task.write(directory)
        killed_at = self._kill(directory)
        with Program(directory, *self._command()) as program:
            program.wait()
        resumed = Run(directory / "killed")
        check_completed(resumed, self.task)
        if not resumed.paths.resumes.exists():
            raise ExerciseError("the killed run was started again from step 0, expected a resume from its checkpoint")
        different = compare_models(whole, resumed)
        if different:
            names = ", ".join(different[:3]) + (" …" if len(different) > 3 else "")
            detail = f"after a kill at step {killed_at:,} and a resume, {len(different)} parameters differ: {names}"
            return Finding("FAILED", detail, _ADVICE)
        return Finding("OK", f"killed after step {killed_at:,}, resumed; weights and optimizers are the same")

    def _command(self) -> tuple[str, ...]:
        return "train", "task.yaml", "--run-dir", "killed", "--resume", "--quiet"

    def _kill(self, directory: Path) -> int:
        """:return: step of the last checkpoint before the kill"""
        for _ in range(_ATTEMPTS):
            with Program(directory, *self._command()) as program:
                if program.wait_for_file("killed/checkpoints/step_*"):
                    program.kill()
                else:
                    program.wait()  # raises the error of the training
            run = Run(directory / "killed")
            if run.status == "dead":
                return int(max(run.paths.checkpoints.glob("step_*")).name.removeprefix("step_"))
            run.paths.root.rename(run.paths.root.with_name(f"too_fast_{len(list(directory.iterdir()))}"))
        raise ExerciseError(f"the training ended before it could be killed, {_ATTEMPTS} times")


def compare_models(first: Run, second: Run) -> list[str]:
    """
    Compare the latest checkpoints of two runs.

    :param first: a run
    :param second: another one
    :return: names of the weights and optimizer states that differ in any bit
    """
    found, others = dict(_list_values(_load_parameters(first))), dict(_list_values(_load_parameters(second)))
    assert found
    return sorted(name for name in found.keys() | others.keys() if found.get(name) != others.get(name))


def _load_parameters(run: Run) -> Mapping[str, Any]:
    import sb3_ext
    from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore

    bundle = CheckpointStore(run.paths.checkpoints).resolve("latest")
    # The optimizers are loaded only with trust; the file is this check's own.
    return sb3_ext.load(bundle.path, trust=True, device="cpu").get_parameters()


def _list_values(value: Any, name: str = "") -> Iterator[tuple[str, bytes]]:
    import torch

    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _list_values(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _list_values(part, f"{name}.{index}")
    elif isinstance(value, torch.Tensor):
        yield name, value.detach().cpu().numpy().tobytes()
    else:
        yield name, repr(value).encode()
