"""Resume runs: the same weights, curves and files as without an interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from stable_baselines3.common.callbacks import BaseCallback

import sb3_ext
from sb3_ext import ConfigError, RunError, resume, train
from sb3_ext.agents.agent import find_agent
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.config import Override
from sb3_ext.runs.run import Run
from sb3_ext.training.loop import train_run
from sb3_ext.training.resuming import AlreadyCompleted, find_resume_point, resume_run
from sb3_ext.training.start import start_run
from signal_callback import SignalCallback

PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 2, "learning_rate": "linear(1e-3)"},
    "dqn": {"learning_starts": 50, "batch_size": 8, "buffer_size": 300, "train_freq": 4},
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_config(algorithm: str = "ppo", **changes: Any) -> dict[str, Any]:
    checkpoint = {"type": "checkpoint", "params": {"interval": 100}}
    config: dict[str, Any] = {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 30},
        "parallel": {"num_envs": 2},
        "agent": {"id": algorithm, "threads": 1, "params": {**PARAMS[algorithm], "policy_kwargs": {"net_arch": [8]}}},
        "train": {"total_steps": 500, "callbacks": [checkpoint], "log_every_episodes": 3},
        "eval": {"every_steps": 150, "episodes": 2},
    }
    for section, values in changes.items():
        config[section] = {**config[section], **values}
    return config


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    start = start_run(make_config(), tmp_path_factory.mktemp("completed") / "run")
    return train_run(start, draws_curves=False).paths.root


@pytest.fixture
def whole(completed: Path) -> Run:
    """A completed run in the current directory, trained once for all tests."""
    return Run(Path(shutil.copytree(completed, "whole", symlinks=True)))


def hash_weights(run: Run) -> str:
    model = sb3_ext.load(run.paths.checkpoints / "latest")
    digest = hashlib.sha256()
    for name, tensor in sorted(model.policy.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def read_lines(path: Path, leave_out: tuple[str, ...] = ("elapsed_seconds",)) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in leave_out} for line in lines]


def read_monitor(run: Run, index: int) -> list[list[str]]:
    rows = (run.paths.monitor / f"{index}.monitor.csv").read_text().splitlines()[1:]
    return [row.split(",")[:2] for row in rows]


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_resumed_run_equals_an_uninterrupted_one(algorithm: str) -> None:
    whole = train(make_config(algorithm), run_dir="whole")
    stopped = train(make_config(algorithm), run_dir="parts", callback=SignalCallback(230))
    assert stopped.record.stop_reason == "signal SIGTERM"
    parts = resume("parts")
    assert (parts.status, parts.record.stop_reason) == ("completed", "total_steps")
    assert parts.record.run_id == json.loads(Path("parts/status.json").read_text())["run_id"]
    assert hash_weights(parts) == hash_weights(whole)
    for section in ("episodes", "training"):
        columns = whole.metrics[section]
        assert parts.metrics[section].keys() == columns.keys()
        for name in columns.keys() - {"elapsed_seconds", "time/fps", "time/time_elapsed", "time/eta_seconds"}:
            assert parts.metrics[section][name] == columns[name], name
    assert read_lines(parts.paths.evaluations) == read_lines(whole.paths.evaluations)
    assert [read_monitor(parts, index) for index in range(2)] == [read_monitor(whole, index) for index in range(2)]
    assert parts.record.best_evaluation == whole.record.best_evaluation
    [line] = read_lines(parts.paths.resumes, leave_out=())
    assert line.keys() == {
        "time", "host", "previous_heartbeat", "previous_host", "checkpoint", "command", "overrides"
    }  # fmt: skip
    first, second = parts.stretches
    assert first.began < first.ended <= second.began < second.ended
    assert first.host == second.host == parts.record.host
    assert parts.record.elapsed_seconds == pytest.approx(
        sum(each.ended - each.began for each in parts.stretches), abs=1
    )


def test_tensorboard_curves_have_no_step_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    # It reads files in the order of their names, which end with a count in this process: 10 would come before 9.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    train(make_config(), run_dir="run", callback=SignalCallback(230))
    run = resume("run")
    events = EventAccumulator(str(run.paths.tensorboard))
    events.Reload()
    steps = [event.step for event in events.Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 500


def test_a_completed_run_says_so_and_new_bounds_extend_it(caplog: pytest.LogCaptureFixture) -> None:
    run = train(make_config(train={"total_steps": 200}), run_dir="run")
    step = run.record.step
    with pytest.raises(AlreadyCompleted, match="has completed"):
        resume_run("run")
    assert resume("run").record.step == step
    extended = resume("run", overrides=["train.total_steps=300"])
    assert extended.record.step >= 300
    resolved = yaml.safe_load(extended.paths.resolved_config.read_text())
    assert resolved["train"]["total_steps"] == 300
    caplog.set_level("INFO")
    caplog.clear()
    with pytest.raises(ConfigError, match=r"train\.total_steps: 250 is not beyond step 320, which the run has reached"):
        resume_run("run", ["train.total_steps=250"])
    assert "changed from now on" not in caplog.text
    assert resume("run", overrides=["train.total_steps=300"]).record.step == extended.record.step


def test_a_run_that_ended_by_its_episodes_is_extended_by_episodes() -> None:
    run = train(make_config(train={"total_steps": 5000, "total_episodes": 2}), run_dir="run")
    ended = run.record
    assert ended.stop_reason == "total_episodes"
    with pytest.raises(AlreadyCompleted, match=r"has completed \(total_episodes\); extend it with --episodes$"):
        resume_run("run")
    refusal = rf"train\.total_episodes: 2 is not beyond episode {ended.episode}, which the run has reached"
    with pytest.raises(ConfigError, match=refusal):
        resume_run("run", ["train.total_steps=9000"])
    assert not Path("run/resumes.jsonl").exists()
    extended = resume("run", overrides=[f"train.total_episodes={ended.episode + 1}"])
    assert extended.record.episode > ended.episode


def test_another_checkpoint_directory_is_refused_of_a_completed_run_too() -> None:
    train(make_config(train={"total_steps": 64}), run_dir="run")
    with pytest.raises(RunError, match=r"^--checkpoint-dir elsewhere: the checkpoints of run are in"):
        resume_run("run", checkpoint_dir=Path("elsewhere"))
    assert not Path("elsewhere").exists()


def test_changes_of_past_training_are_refused_and_equal_values_accepted() -> None:
    train(make_config(), run_dir="run", callback=SignalCallback(100))
    before = Path("run/status.json").read_text()
    with pytest.raises(ConfigError) as caught:
        resume("run", overrides=["agent.params.gamma=0.5", "seed=2"])
    *problems, rule = caught.value.problems
    assert len(problems) == 2
    assert any("agent.params.gamma: 0.9" in problem and "in the run, now 0.5" in problem for problem in problems)
    assert "--init-from" in rule
    for override, name, own in (
        (Override(("agent", "id"), "dqn", "--algo"), "algorithm", "ppo"),
        (Override(("env", "id"), "Pendulum-v1", "--env"), "environment", "CartPole-v1"),
        (Override(("game", "id"), "connect4", "--set"), "game", None),
        (Override(("agent",), {"id": "sac", "params": {"tau": 0.1}}, "--set"), "algorithm", "ppo"),
    ):
        with pytest.raises(
            ConfigError, match=f"^{override.place}: .*: the {name} of a run cannot be changed"
        ) as caught:
            resume("run", overrides=[override])
        assert len(caught.value.problems) == 1
        assert own is None or f"has {own}, found" in str(caught.value)
    assert Path("run/status.json").read_text() == before
    overrides = [
        "seed=1",
        "agent.params.n_steps=32",
        "eval.episodes=1",
        "train.callbacks.checkpoint.params.interval=50",
    ]
    assert resume("run", overrides=overrides).status == "completed"


def test_an_older_checkpoint_branches_into_a_new_run(whole: Run) -> None:
    oldest = CheckpointStore(whole.paths.checkpoints).list_bundles()[-1]
    branch = train_run(resume_run(oldest.path, run_dir="branch"))
    assert branch.meta["branched_from"] == str(oldest.path.resolve())
    assert branch.paths.root.name == "branch"
    assert hash_weights(branch) == hash_weights(whole)
    assert branch.metrics["episodes"]["return"] == whole.metrics["episodes"]["return"]
    assert branch.record.run_id != whole.record.run_id


def test_another_run_directory_is_a_new_run_from_the_newest_checkpoint_too() -> None:
    run = train(make_config(train={"total_steps": 64}), run_dir="run")
    for target in ("run", run.latest.path):
        with pytest.raises(AlreadyCompleted):
            resume_run(target, run_dir="fork")
    with resume_run("run", ["train.total_steps=128"], run_dir="fork").session as session:
        session.finish("signal SIGTERM")
    assert Run(Path("fork")).meta["branched_from"] == str(run.latest.path.resolve())
    assert (run.status, Path("run/resumes.jsonl").exists()) == ("completed", False)


def test_a_branch_killed_before_its_first_checkpoint_restarts_from_its_origin(whole: Run) -> None:
    oldest = CheckpointStore(whole.paths.checkpoints).list_bundles()[-1]
    with resume_run(oldest.path, run_dir="branch").session as session:
        session.finish("signal SIGTERM")  # killed before it has trained
    shutil.rmtree("branch/monitor")
    branch = resume("branch")
    assert hash_weights(branch) == hash_weights(whole)
    assert branch.metrics["episodes"]["return"] == whole.metrics["episodes"]["return"]


def test_a_branch_whose_origin_is_missing_is_refused(whole: Run) -> None:
    oldest = CheckpointStore(whole.paths.checkpoints).list_bundles()[-1]
    with resume_run(oldest.path, run_dir="branch").session as session:
        session.finish("signal SIGTERM")
    shutil.rmtree(oldest.path)
    with pytest.raises(RunError, match=r"branched from .* cannot be used any more"):
        resume("branch")


@pytest.mark.parametrize("place", ["run/checkpoints", "elsewhere/run"])
def test_a_checkpoint_in_another_directory_belongs_to_its_run(place: str) -> None:
    train_run(start_run(make_config(train={"total_steps": 200}), "run", checkpoint_dir=Path("elsewhere")))
    (newest, *_) = CheckpointStore(Path(place)).list_bundles()
    assert find_resume_point(newest.path).run.paths.root.samefile("run")
    assert find_resume_point(Path(place) / "latest").is_newest
    assert find_agent(newest.path).config.seed == 1


def test_a_checkpoint_without_a_run_cannot_be_resumed(whole: Run) -> None:
    shutil.copytree(whole.paths.checkpoints, "copied/checkpoints", symlinks=True)
    with pytest.raises(RunError, match="belongs to no run"):
        resume("copied/checkpoints/latest")


def test_rewinding_rolls_back_in_place(whole: Run) -> None:
    hash_before = hash_weights(whole)
    bundles = CheckpointStore(whole.paths.checkpoints).list_bundles()
    status = json.loads(whole.paths.status.read_text())
    whole.paths.status.write_text(json.dumps({**status, "elapsed_seconds": status["elapsed_seconds"] + 10_000}))
    run = train_run(resume_run(bundles[-1].path, rewind=True))
    assert 0 < run.record.elapsed_seconds < 10_000  # of what is set aside nothing counts
    rewound = sorted(path.name for path in run.paths.checkpoints.glob("*.rewound"))
    assert rewound == sorted(f"{bundle.path.name}.rewound" for bundle in bundles[:-1])
    assert hash_weights(run) == hash_before


def test_a_run_without_a_checkpoint_restarts() -> None:
    with pytest.raises(RuntimeError):
        train(make_config(), run_dir="run", callback=RaiseAtOnce())
    for path in Path("run/checkpoints").iterdir():
        path.unlink() if path.is_symlink() else [file.unlink() for file in path.rglob("*") if file.is_file()]
    assert resume("run").record.stop_reason == "total_steps"


class RaiseAtOnce(BaseCallback):
    """Fails at the first step."""

    def _on_step(self) -> bool:
        raise RuntimeError


def test_the_previous_checkpoint_replaces_a_damaged_one(whole: Run) -> None:
    train(make_config(), run_dir="run", callback=SignalCallback(230))
    latest = Path("run/checkpoints/latest").resolve()
    weights = latest / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    run = resume("run")
    assert latest.with_name(f"{latest.name}.corrupt").exists()
    assert hash_weights(run) == hash_weights(whole)


def test_a_run_starts_with_the_weights_of_another() -> None:
    first = train(make_config(train={"total_steps": 64}), run_dir="first")
    config = make_config(train={"total_steps": 64})
    config["agent"]["init_from"] = "first/checkpoints/latest"
    config["agent"]["params"]["learning_rate"] = 0.0
    second = train(config, run_dir="second")
    assert hash_weights(second) == hash_weights(first)
    with pytest.raises(ConfigError, match=r"agent\.init_from: nope: no run with this path"):
        train(make_config(), run_dir="third", overrides=["agent.init_from=nope"])


def test_only_runs_can_be_resumed() -> None:
    Path("empty").mkdir()
    with pytest.raises(RunError):
        resume("empty")
    with pytest.raises(RunError):
        resume("nothing")


def test_a_failed_resume_leaves_the_run_as_it_was() -> None:
    run = train(make_config(), run_dir="run", callback=SignalCallback(100))
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())
    resolved["env"]["id"] = "Acrobot-v1"
    run.paths.resolved_config.write_text(yaml.safe_dump(resolved))
    with pytest.raises(sb3_ext.Sb3ExtError):
        resume("run")
    assert Run(Path("run")).status == "stopped"
    assert CheckpointStore(run.paths.checkpoints).find_latest() is not None


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    train_run(start_run(make_config(train={"total_steps": 64}), "run"))
    assert torch.get_num_threads() == before
