"""All checks, in the order of the report."""

from __future__ import annotations

from sb3_ext.doctor.check import Check
from sb3_ext.doctor.exercises.evaluation_exercise import EvaluationExercise
from sb3_ext.doctor.exercises.film_exercise import FilmExercise
from sb3_ext.doctor.exercises.gpu_exercise import GpuExercise
from sb3_ext.doctor.exercises.kill_exercise import KillExercise
from sb3_ext.doctor.exercises.learning_exercise import LearningExercise
from sb3_ext.doctor.exercises.seeds_exercise import SeedsExercise
from sb3_ext.doctor.exercises.self_play_exercise import SelfPlayExercise
from sb3_ext.doctor.exercises.small_tasks import (
    make_dqn_task,
    make_game_task,
    make_gpu_task,
    make_ppo_task,
    make_sac_task,
    make_worker_task,
    with_engine,
)
from sb3_ext.doctor.exercises.training_exercise import TrainingExercise
from sb3_ext.doctor.exercises.tuning_exercise import TuningExercise
from sb3_ext.doctor.inspections.dependencies import Dependencies
from sb3_ext.doctor.inspections.devices import Devices
from sb3_ext.doctor.inspections.directories import Directories
from sb3_ext.doctor.inspections.disk_clock import Clock
from sb3_ext.doctor.inspections.extras import Extras
from sb3_ext.doctor.inspections.free_memory import Memory
from sb3_ext.doctor.inspections.imports import DependencyImports, ExtraImports
from sb3_ext.doctor.inspections.installation import Installation
from sb3_ext.doctor.inspections.interpreter import Interpreter
from sb3_ext.doctor.inspections.locks import Locks
from sb3_ext.doctor.inspections.shell_limits import ShellLimits
from sb3_ext.doctor.inspections.thread_counts import ThreadCounts
from sb3_ext.vec.workers.worker_support import can_run_workers

INSPECTIONS: tuple[Check, ...] = (
    Interpreter(),
    Installation(),
    Dependencies(),
    DependencyImports(),
    Extras(),
    Devices(),
    ThreadCounts(),
    Memory(),
    Directories(),
    Locks(),
    Clock(),
    ShellLimits(),
)
"""Checks of ``doctor``: some seconds."""

QUICK: tuple[Check, ...] = (
    ExtraImports(),
    TrainingExercise(make_ppo_task()),
    KillExercise(make_ppo_task()),
    EvaluationExercise(make_ppo_task()),
    SelfPlayExercise(make_game_task()),
    TuningExercise(make_ppo_task(), trials=2, jobs=1),
)
"""What ``--quick`` adds: about a minute."""

FULL: tuple[Check, ...] = (
    *QUICK[:-1],
    GpuExercise(make_gpu_task()),
    LearningExercise(),
    KillExercise(make_dqn_task()),
    KillExercise(make_sac_task()),
    *((KillExercise(make_worker_task()),) if can_run_workers() else ()),
    KillExercise(make_game_task()),
    KillExercise(with_engine(make_ppo_task(), "torch")),
    KillExercise(with_engine(make_ppo_task(), "xla", module="jax", extra="xla")),
    SeedsExercise(make_ppo_task()),
    TuningExercise(make_ppo_task(), trials=4, jobs=2),
    FilmExercise(make_ppo_task()),
)
"""What ``--full`` adds: about 5 minutes."""
