"""The trainings of ``doctor`` pass, and fail with planted faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import sb3_ext
from sb3_ext.doctor.exercises.exercise import check_completed
from sb3_ext.doctor.exercises.kill_exercise import KillExercise, compare_models
from sb3_ext.doctor.exercises.program import Program, run_program
from sb3_ext.doctor.exercises.small_tasks import SmallTask, make_ppo_task, with_engine
from sb3_ext.doctor.exercises.training_exercise import TrainingExercise
from sb3_ext.doctor.exercises.tuning_exercise import TuningExercise
from sb3_ext.errors import ExerciseError
from sb3_ext.runs.run import Run

ENVIRONMENT = """
import os

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

class Noisy(CartPoleEnv):
    def step(self, action):
        observation, *rest = super().step(action)
        return observation + np.float32(os.urandom(1)[0] * 1e-6), *rest

class Crashing(CartPoleEnv):
    steps = 0

    def step(self, action):
        Crashing.steps += 1
        if Crashing.steps > 400:
            raise RuntimeError("the simulator is gone")
        return super().step(action)

gymnasium.register("Noisy-v0", Noisy, max_episode_steps=100)
gymnasium.register("Crashing-v0", Crashing, max_episode_steps=100)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three short runs of the task: two with the same seed."""
    config = dict(make_ppo_task().config) | {"train": {"total_steps": 256}, "eval": {"episodes": 1}}
    place = tmp_path_factory.mktemp("runs")
    return [sb3_ext.train(config | {"seed": seed}, run_dir=place / str(index)) for index, seed in enumerate((1, 1, 2))]


def make_task(env_id: str) -> SmallTask:
    return replace(make_ppo_task(), config={**make_ppo_task().config, "env": {"id": f"planted_env:{env_id}"}})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a check, in one that no other test uses."""
    (tmp_path / "check").mkdir()
    return tmp_path / "check"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's, which allows about 100 characters."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="d-") as place:
        yield Path(place)


@pytest.fixture
def planted_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "planted_env.py").write_text(ENVIRONMENT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"), prepend=os.pathsep)


def test_models_are_compared_bit_by_bit(runs: list[Run]) -> None:
    first, same, other = runs
    assert compare_models(first, same) == []
    different = compare_models(first, other)
    assert any(name.startswith("policy.mlp_extractor") for name in different)
    assert any(name.startswith("policy.optimizer.state") for name in different)


def test_a_run_that_has_not_reached_its_step_is_found(runs: list[Run]) -> None:
    with pytest.raises(ExerciseError, match=r"completed at step 256 .*, expected completed at step 2,048"):
        check_completed(runs[0], make_ppo_task())


def test_a_command_that_fails_is_reported_with_its_last_lines(directory: Path) -> None:
    with pytest.raises(ExerciseError, match=r"`sb3-ext config check none.yaml` ended: exit status 2") as caught:
        run_program(directory, "config", "check", "none.yaml")
    assert "none.yaml" in caught.value.output[-1]


def test_a_process_ends_with_its_block(directory: Path) -> None:
    with Program(directory, "runs", "watch") as program:
        process = psutil.Process(program._process.pid)
        assert process.is_running()
    assert not process.is_running()


def test_what_needs_a_missing_extra_is_skipped(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = with_engine(make_ppo_task(), "xla", module="no_such_module", extra="xla")
    finding = KillExercise(task).examine(directory)
    assert (finding.verdict, finding.advice) == ("SKIPPED", "pip install 'sb3-ext[xla]'")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    finding = TuningExercise(make_ppo_task(), trials=1, jobs=1).examine(directory)
    assert (finding.verdict, finding.advice) == ("SKIPPED", "pip install 'sb3-ext[tune]'")


@pytest.mark.slow
def test_a_training_that_crashes_is_found(planted_env: None, directory: Path) -> None:
    with pytest.raises(ExerciseError, match="ended: exit status 1") as caught:
        TrainingExercise(make_task("Crashing-v0")).examine(directory)
    assert any("the simulator is gone" in line for line in caught.value.output)


@pytest.mark.slow
def test_a_resume_with_other_weights_is_found(planted_env: None, directory: Path) -> None:
    finding = KillExercise(make_task("Noisy-v0")).examine(directory)
    assert finding.verdict == "FAILED"
    assert "parameters differ: policy." in finding.detail


@pytest.mark.slow
def test_quick_passes_here(short_path: Path) -> None:
    command = [sys.executable, "-m", "sb3_ext", "doctor", "--quick"]
    environment = {**os.environ, "TMPDIR": str(short_path)}
    result = subprocess.run(command, cwd=short_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("\nALL PASSED\n")
    for name in ("train", "kill and resume: PPO on CartPole-v1", "evaluate", "self-play", "tune"):
        assert f"OK        {name} (" in result.stdout
    assert list(short_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_process_and_no_file(number: signal.Signals, short_path: Path) -> None:
    code = """
    from sb3_ext.cli import main
    from sb3_ext.doctor import check_list
    from sb3_ext.doctor.exercises.kill_exercise import KillExercise
    check_list.INSPECTIONS = (KillExercise(check_list.make_worker_task()),)
    main()
    """
    environment = {**os.environ, "TMPDIR": str(short_path)}
    command = [sys.executable, "-c", f"if 1:{code}", "doctor"]
    with subprocess.Popen(command, cwd=short_path, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(short_path.glob("*/*/run/checkpoints/step_*")):
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(60) == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert len(children) >= 3  # the training and its workers
    _, left = psutil.wait_procs(children, timeout=30)
    assert left == []
    assert list(short_path.iterdir()) == []
