"""``parallel.mode: auto``: the choice, which changes only the speed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import sb3_ext
from sb3_ext.advising import choice
from sb3_ext.advising.choice import choose_parallel, resolve_parallel
from sb3_ext.config import RunConfig, load_config
from sb3_ext.errors import ConfigError
from sb3_ext.vec.backends import native
from sb3_ext.vec.workers import worker_split


def make_config(**parallel: Any) -> dict[str, Any]:
    return {
        "seed": 3,
        "env": {"id": "CartPole-v1", "normalize": True},
        "parallel": parallel,
        "agent": {
            "id": "ppo",
            "threads": 1,
            "params": {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}},
        },
        "train": {"total_steps": 64},
        "eval": {"episodes": 1},
    }


def load(num_envs: int, total_steps: int | None = None, **parallel: Any) -> RunConfig:
    bound = {"duration": "1h"} if total_steps is None else {"total_steps": total_steps}
    return load_config({**make_config(num_envs=num_envs, **parallel), "train": bound})


@pytest.fixture
def set_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the number of cores, and how long a step of the environment takes; ``None``: measuring is an error."""

    def set_to(cores: int, step_seconds: float | None = None) -> None:
        for module in (choice, worker_split):
            monkeypatch.setattr(module, "count_cores", lambda: cores)

        def measure(env_fn: Any, **_: Any) -> float:
            assert step_seconds is not None, "measured without need"
            return step_seconds

        monkeypatch.setattr(choice, "measure_step_seconds", measure)

    return set_to


@pytest.mark.parametrize(
    ("num_envs", "cores", "step_seconds", "total_steps", "workers", "reason"),
    [
        (1, 8, None, None, None, "one environment"),
        (8, 1, None, None, None, "one core"),
        (7, 4, None, None, None, "7 environments cannot be shared evenly by 4 cores"),
        (8, 4, 90e-6, None, None, "a step takes 90 µs, less than the messages"),
        (8, 4, 1e-3, None, 4, "4 workers of 2 environments step up to 3.6 times as fast"),
        (6, 4, 1e-3, None, 3, "3 workers of 2 environments"),
        (2, 2, 150e-6, None, None, "2 workers would be 0.9 times as fast"),
        # 1 s of stepping in all is over before the workers have started; 1,000 s are not.
        (8, 4, 1e-3, 1_000, None, "workers would save 1 s"),
        (8, 4, 1e-3, 1_000_000, 4, "4 workers of 2"),
    ],
)
def test_the_choice_depends_on_cores_step_time_and_steps(
    set_machine: Any,
    num_envs: int,
    cores: int,
    step_seconds: float | None,
    total_steps: int | None,
    workers: int | None,
    reason: str,
) -> None:
    set_machine(cores, step_seconds)
    chosen = choose_parallel(load(num_envs, total_steps))
    assert reason in chosen.reason
    assert (chosen.parallel.mode, chosen.parallel.num_workers) == ("workers" if workers else "sequential", workers)
    assert chosen.parallel.num_envs == num_envs
    assert load_config({**make_config(), "parallel": chosen.parallel.model_dump()}).parallel == chosen.parallel


def test_environments_with_windows_stay_in_the_training_process(set_machine: Any) -> None:
    set_machine(4)
    assert choose_parallel(load(8), rendered=True).parallel.mode == "sequential"


def test_native_batches_are_chosen_on_every_machine(set_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_machine(1)  # the results must not depend on the machine
    monkeypatch.setattr(native, "has_native_vec_env", lambda env_id: env_id == "CartPole-v1")
    assert choose_parallel(load(8)).parallel.mode == "native"
    assert choose_parallel(load(8), rendered=True).parallel.mode == "native"
    truncated = load(8).env.model_copy(update={"max_steps": 5})
    assert choose_parallel(load(8).model_copy(update={"env": truncated})).parallel.mode == "sequential"


def test_a_configured_mode_is_kept(set_machine: Any) -> None:
    set_machine(4)
    config = load(8, mode="subproc")
    assert resolve_parallel(config) is config


def test_settings_of_workers_are_kept_only_if_workers_are_chosen(set_machine: Any) -> None:
    set_machine(4, 1e-3)
    assert choose_parallel(load(8, max_worker_restarts=5)).parallel.max_worker_restarts == 5
    set_machine(4, 1e-6)
    assert choose_parallel(load(8, max_worker_restarts=5)).parallel.max_worker_restarts == 0


def test_a_number_of_workers_implies_the_mode_workers() -> None:
    assert load(8, num_workers=2).parallel.mode == "workers"
    with pytest.raises(ConfigError, match="num_workers is for mode workers or ray, but the mode is auto"):
        load(8, mode="auto", num_workers=2)


def test_an_environment_that_fails_while_it_is_measured_is_left_to_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(env_fn: Any, **_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(choice, "measure_step_seconds", fail)
    monkeypatch.setattr(worker_split, "count_cores", lambda: 2)
    chosen = choose_parallel(load(8))
    assert (chosen.parallel.mode, chosen.reason) == (
        "sequential",
        "an environment failed when it was tried: ZeroDivisionError()",
    )


def test_a_resume_keeps_the_choice(set_machine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    set_machine(2, 1e-3)
    config = {**make_config(num_envs=2), "train": {"total_episodes": 3}}
    with caplog.at_level(logging.INFO, "sb3_ext"):
        run = sb3_ext.train(config, run_dir=tmp_path / "run")
    assert "parallel.mode: auto chooses workers: a step takes 1,000 µs; 2 workers of 1 environments" in caplog.text
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())["parallel"]
    assert (resolved["mode"], resolved["num_workers"]) == ("workers", 2)

    set_machine(1)  # on another machine, where measuring is an error
    overrides = ["train.total_episodes=6", "parallel.mode=auto"]
    resumed = sb3_ext.resume(tmp_path / "run", overrides=overrides)
    assert resumed.record.episode >= 6
    assert yaml.safe_load(run.paths.resolved_config.read_text())["parallel"] == resolved
    assert resumed.latest.bundle.manifest.exact


def test_the_modes_differ_in_nothing_but_speed(tmp_path: Path) -> None:
    weights = []
    for mode in ("sequential", "workers", "subproc", "auto"):
        run = sb3_ext.train(make_config(mode=mode, num_envs=2), run_dir=tmp_path / mode)
        weights.append(run.latest.load().get_parameters()["policy"])
        assert (
            run.metrics["episodes"]["return"] == sb3_ext.load_run(tmp_path / "sequential").metrics["episodes"]["return"]
        )
    assert (tmp_path / "auto" / "config.resolved.yaml").read_text().count("mode: sequential") == 1
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            np.testing.assert_array_equal(tensor.cpu(), other[name].cpu())
