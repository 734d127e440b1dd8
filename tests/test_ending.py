"""The end of runs: at which step, for which reason, with which checkpoints."""

from __future__ import annotations

import hashlib
import logging
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

import sb3_ext
from full_disk import forbid_large_files
from sb3_ext import resume
from sb3_ext.agents.trained_run import TrainedRun
from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.callbacks import EpisodeBudgetCallback
from sb3_ext.callbacks.measures import rollout_watch
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.training import loop
from sb3_ext.training.loop import train_run
from sb3_ext.training.start import start_run
from signal_callback import SignalCallback

# Episodes last 5 steps: rollouts of 32 steps do not end with one.
MOCK = {"id": "sb3_ext/Mock-v0", "params": {"shortest_episode_steps": 5, "longest_episode_steps": 5}}
MASKED = {**MOCK, "params": {**MOCK["params"], "has_action_masks": True}}  # type: ignore[dict-item]
PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 1},
    "maskable_ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 1},
    "recurrent_ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 1},
    "dqn": {"learning_starts": 4, "batch_size": 8, "buffer_size": 200, "train_freq": 16},
    "ars": {"n_delta": 2, "n_eval_episodes": 1},
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_config(algorithm: str = "ppo", train: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    params = dict(PARAMS[algorithm])
    if algorithm != "ars":
        params["policy_kwargs"] = {"net_arch": [8]}
    return {
        "seed": 1,
        "env": MASKED if algorithm == "maskable_ppo" else MOCK,
        "parallel": {"mode": "sequential", "num_envs": 1},
        "agent": {"id": algorithm, "threads": 1, "params": params},
        "train": {"total_steps": 1000, "total_episodes": 3} if train is None else train,
        "eval": {"episodes": 1},
        **sections,
    }


def train(config: dict[str, Any], name: str = "run", callback: Any = ()) -> TrainedRun:
    """Train without the picture at the end, which takes longer than such a training."""
    return TrainedRun(train_run(start_run(config, name), callback, draws_curves=False).paths.root)


def load_latest(run: TrainedRun, algorithm: str = "ppo") -> Any:
    return get_algorithm(algorithm).load_class().load(run.paths.latest_model)


def hash_weights(run: TrainedRun) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(run.latest.load().policy.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("algorithm", "step"), [("ppo", 32), ("maskable_ppo", 32), ("recurrent_ppo", 32), ("dqn", 16), ("ars", 20)]
)
def test_a_bound_inside_a_rollout_ends_the_run_after_the_update(algorithm: str, step: int) -> None:
    run = train(make_config(algorithm))
    assert (run.status, run.record.stop_reason) == ("completed", "total_episodes")
    model = load_latest(run, algorithm)
    assert model._n_updates > 0
    steps = [run.record.step, run.latest.step, model.num_timesteps, run.metrics["summary"]["step"]]
    assert steps == [step] * 4
    assert run.record.last_checkpoint == f"step_{step:09d}"
    assert run.metrics["last_evaluation"]["step"] == step


@pytest.mark.parametrize(
    ("bounds", "stopping", "reason"),
    [
        ({"duration": "0.001s"}, {}, "duration"),
        ({"total_steps": 1000}, {"target": {"return": -100, "window": 1, "patience": 1}}, "converged"),
        ({"total_steps": 1000}, {"plateau": {"window": 1, "patience": 1, "min_delta": 100}}, "plateau"),
    ],
)
def test_every_bound_ends_the_run_after_an_update(
    bounds: dict[str, Any], stopping: dict[str, Any], reason: str
) -> None:
    run = train(make_config(train=bounds, early_stopping=stopping))
    assert (run.status, run.record.stop_reason, run.record.step) == ("completed", reason, 32)
    assert load_latest(run)._n_updates == 1
    assert run.record.eta_seconds is None


def test_a_converged_run_names_the_mean_that_met_the_target() -> None:
    stopping = {"target": {"return": -100, "window": 2, "patience": 1}}
    run = train(make_config(train={"total_steps": 1000}, early_stopping=stopping))
    first_two = run.metrics["episodes"]["return"][:2]
    assert run.record.stop_detail == f"mean return {sum(first_two) / 2:.2f} of the last 2 episodes, target -100"


def test_a_resume_after_a_bound_is_exact() -> None:
    callbacks = [{"type": "checkpoint", "params": {"every_episodes": 10}}]
    whole = train(make_config(train={"total_steps": 1000, "total_episodes": 15, "callbacks": callbacks}), "whole")
    run = train(make_config(train={"total_steps": 1000, "total_episodes": 3, "callbacks": callbacks}), "parts")
    assert run.record.step == 32
    parts = resume("parts", overrides=["train.total_episodes=15"])
    assert parts.record.step == whole.record.step == 96
    assert hash_weights(parts) == hash_weights(whole)
    assert parts.metrics["episodes"]["return"] == whole.metrics["episodes"]["return"]


def test_checkpoints_by_episodes_are_made_at_the_end_of_the_rollout() -> None:
    callbacks = [{"type": "checkpoint", "params": {"interval": None, "every_episodes": 2}}]
    run = train(make_config(train={"total_episodes": 9, "callbacks": callbacks}))
    assert [bundle.step for bundle in CheckpointStore(run.paths.checkpoints).list_bundles()] == [64, 32]


@pytest.mark.parametrize("bounds", [{"total_episodes": 3, "total_steps": 1000}, {"total_steps": 30}])
def test_a_run_without_an_update_fails_with_a_reason(bounds: dict[str, Any]) -> None:
    config = make_config("dqn", train=bounds)
    config["agent"]["params"]["learning_starts"] = 500
    run = train(config)
    step = 16 if "total_episodes" in bounds else 32
    assert (run.status, run.record.stop_reason, run.record.step) == ("failed", "no update", step)
    detail = f"{next(iter(bounds))} ended the run at step {step}, before the first update: "
    assert run.record.stop_detail is not None
    assert run.record.stop_detail.startswith(detail)
    assert run.record.stop_detail.endswith("agent.params.learning_starts is 500")
    assert "last_evaluation" not in run.metrics


def test_a_run_without_an_update_resumes_with_larger_bounds() -> None:
    config = make_config("dqn", train={"total_steps": 16})
    config["agent"]["params"]["learning_starts"] = 20
    assert train(config).status == "failed"
    run = resume("run", overrides=["train.total_steps=64"])
    assert (run.status, run.record.step) == ("completed", 64)
    assert run.record.stop_detail is None


def test_a_signal_ends_a_long_rollout_and_reports_the_lost_steps() -> None:
    run = train(make_config(train={"total_episodes": 1000}), callback=SignalCallback(20))
    assert (run.status, run.record.stop_reason, run.record.step) == ("stopped", "signal SIGTERM", 20)
    assert run.latest.step == 0
    assert run.record.stop_detail == ("in the middle of a rollout, whose 20 steps are not in the checkpoint of step 0")


def test_an_endless_rollout_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_watch, "_OVERLONG_SECONDS", 0.0)
    endless = {**MOCK, "params": {"shortest_episode_steps": 10**9, "longest_episode_steps": 10**9}}
    run = train(make_config("ars", train={"duration": "0.1s"}, env=endless))
    assert (run.status, run.record.stop_reason) == ("failed", "no update")


def test_a_stop_callback_in_a_nested_list_is_found() -> None:
    class Count(BaseCallback):
        closed = 0

        def _on_step(self) -> bool:
            return True

        def close(self) -> None:
            Count.closed += 1

    nested = CallbackList([Count(), CallbackList([EpisodeBudgetCallback(3, at_boundary=True)])])
    run = train(make_config(train={"total_steps": 1000}), callback=nested)
    assert (run.status, run.record.stop_reason, run.record.step) == ("completed", "total_episodes", 32)
    assert Count.closed == 1


def test_an_error_while_a_callback_is_closed_is_logged_and_the_others_are_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed = []

    class Fails(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def close(self) -> None:
            closed.append(self)
            raise RuntimeError("cannot be closed")

    with caplog.at_level(logging.WARNING):
        run = train(make_config(), callback=[Fails(), Fails()])
    assert (run.status, len(closed)) == ("completed", 2)
    assert caplog.text.count("Fails.close() failed") == 2


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """
    No checkpoint can be written, since files of its size are not allowed.

    :return: the steps of those that were tried
    """
    tried: list[int] = []
    add = CheckpointStore.add

    def try_to_add(self: CheckpointStore, content: Any, previous: Any = None) -> Any:
        tried.append(content.step)
        return add(self, content, previous)

    monkeypatch.setattr(CheckpointStore, "add", try_to_add)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    forbid_large_files()
    yield tried
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_whose_last_checkpoint_cannot_be_written_fails(full_disk: list[int]) -> None:
    arguments = ["train", "--algo", "ppo", "--env", "CartPole-v1", "--total-steps", "32", "--run-dir", "run"]
    result = CliRunner().invoke(cli, [*arguments, "--set", "agent.params={n_steps: 32, batch_size: 16}"])
    assert result.exit_code == 2, result.output
    assert full_disk == [32]
    run = sb3_ext.load_run("run")
    assert (run.status, run.record.stop_reason, run.record.step) == ("failed", "disk error", 32)
    path = Path("run/checkpoints/step_000000032").absolute()
    assert run.record.stop_detail == f"checkpoint {path} could not be written: File too large"
    assert result.output.splitlines()[-1] == f"run: failed at step 32: disk error: {run.record.stop_detail}"


def test_a_full_disk_that_a_callback_finds_is_one_line_with_the_last_checkpoint() -> None:
    callbacks = [
        {"type": "checkpoint", "params": {"interval": 32}},
        {"type": "full_disk:WritingCallback", "params": {"step": 100}},
    ]
    path = Path("my.yaml")
    path.write_text(yaml.safe_dump(make_config(train={"total_steps": 320, "callbacks": callbacks})))
    result = CliRunner().invoke(cli, ["train", str(path), "--run-dir", "run", "--quiet"])
    assert result.exit_code == 2, result.output
    _mock_warning, line = result.output.splitlines()
    assert line == (
        "run: failed at step 100: disk error: a file cannot be written: No space left on device; once that is mended, "
        "`sb3-ext train --resume run` continues from step_000000096"
    )
    assert CheckpointStore(Path("run/checkpoints")).find_latest() is not None


def test_a_full_disk_before_training_is_one_line_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        Path("/dev/full").write_text("time,return\n")

    monkeypatch.setattr(loop, "make_env", fail)
    result = CliRunner().invoke(cli, ["train", "--algo", "ppo", "--env", "CartPole-v1", "--run-dir", "run", "--quiet"])
    assert (result.exit_code, result.output) == (2, "a file cannot be written: No space left on device\n")
    assert not Path("run").exists()


def test_a_stopped_run_without_a_checkpoint_fails(full_disk: list[int]) -> None:
    run = train(make_config(), callback=SignalCallback(20))
    assert (run.status, run.record.stop_reason) == ("failed", "disk error")
    assert full_disk == [0]


def test_a_run_with_nan_weights_at_the_end_fails() -> None:
    class Poison(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_training_end(self) -> None:
            self.model.policy.value_net.bias.data.fill_(float("nan"))

    run = train(make_config(train={"total_steps": 32}), callback=Poison())
    assert (run.status, run.record.stop_reason) == ("failed", "no checkpoint")
    assert run.record.stop_detail == "the weights are not finite at step 32"


def test_a_run_that_an_error_ended_has_the_step_of_its_model() -> None:
    class Fails(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 25:
                raise RuntimeError("lost")
            return True

    with pytest.raises(RuntimeError, match="lost"):
        train(make_config(), callback=Fails())
    run = sb3_ext.load_run("run")
    assert (run.status, run.record.step) == ("failed", 25)
