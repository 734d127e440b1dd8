"""Agents from runs, checkpoints and strangers' files: judged as in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from stable_baselines3 import PPO

import sb3_ext
from sb3_ext import CheckpointError, train
from sb3_ext.agents.agent import find_agent
from sb3_ext.cli import cli
from sb3_ext.reports.evaluations import read_evaluations

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "Pendulum-v1", "max_steps": 20, "normalize": True, "frame_stack": 2},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 32, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {"total_steps": 128, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
    "eval": {"every_steps": 64, "episodes": 3},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with normalisation and stacked frames."""
    directory = tmp_path_factory.mktemp("agents") / "run"
    train(CONFIG, run_dir=directory)
    return directory


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def enjoy(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["enjoy", *map(str, arguments)])


def test_the_best_checkpoint_repeats_the_evaluation_that_made_it_best(trained: Path) -> None:
    run = sb3_ext.load_run(trained)
    lines = read_evaluations(run.paths.evaluations)
    best = max(lines, key=lambda line: line["mean_return"])
    assert run.best.step == best["step"]
    assert list(run.evaluate().returns) == best["returns"]
    assert list(run.best.evaluate().returns) == best["returns"]
    [last] = [line for line in lines if line["step"] == run.latest.step]
    assert list(run.latest.evaluate().returns) == last["returns"]


def test_the_command_repeats_the_evaluation_of_the_best_checkpoint(trained: Path) -> None:
    result = enjoy(trained, "--json", "out.json")
    assert result.exit_code == 0, result.output
    content = json.loads(Path("out.json").read_text())
    run = sb3_ext.load_run(trained)
    assert content["mean_return"] == run.record.best_evaluation
    assert {
        "std_return",
        "episodes",
        "returns",
        "lengths",
        "ci95",
        "success_rate",
        "checkpoint",
        "seed",
    } <= content.keys()
    assert f"mean return {content['mean_return']:.2f} ± {content['std_return']:.2f} (95 % interval" in result.stdout
    assert result.stdout.endswith("mean length 20.0\n")
    assert len(result.stdout.splitlines()) == 1 + 3 + 2


def test_evaluates_with_given_number_seed_and_determinism(trained: Path) -> None:
    run = sb3_ext.load_run(trained)
    assert run.evaluate(5).episodes == 5
    assert run.evaluate(2, seed=3).returns == run.evaluate(2, seed=3).returns != run.evaluate(2, seed=4).returns
    assert run.evaluate(2, deterministic=False).returns != run.evaluate(2).returns
    with pytest.raises(ValueError, match="episodes must be positive"):
        run.evaluate(0)


def test_finds_a_checkpoint_by_path_step_and_name(trained: Path) -> None:
    run = sb3_ext.load_run(trained)
    step = run.latest.step
    for arguments in ([run.latest.path], [run.latest.path / "model.zip"], [trained, "--checkpoint", step]):
        result = enjoy(*arguments, "-e", 1)
        assert result.exit_code == 0, result.output
        assert f"step_{step:09d}" in result.stderr


def test_loads_a_model_from_python(trained: Path) -> None:
    model = sb3_ext.load_run(trained).best.load()
    assert isinstance(model, PPO)
    assert isinstance(sb3_ext.load(trained / "checkpoints" / "latest"), PPO)


def test_a_zip_without_run_needs_environment_and_algorithm() -> None:
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, policy_kwargs={"net_arch": [8]}).save("theirs.zip")
    result = enjoy("theirs.zip", "--env", "CartPole-v1", "--algo", "ppo", "-e", 2)
    assert result.exit_code == 0, result.output
    for arguments in (["--env", "CartPole-v1"], ["--algo", "ppo"], []):
        result = enjoy("theirs.zip", *arguments)
        assert result.exit_code == 2
        assert (
            "does not belong to a run; give its environment with --env and its algorithm with --algo" in result.stderr
        )
    result = enjoy("theirs.zip", "--env", "CartPole-v1", "--algo", "ppo", "--checkpoint", 7)
    assert "theirs.zip: is a single model, not a run; leave out --checkpoint 7" in result.stderr


def test_enjoy_writes_a_video(trained: Path) -> None:
    result = enjoy(trained, "-e", 2, "--video", "film.gif")
    assert result.exit_code == 0, result.output
    with Image.open("film.gif") as film:
        assert film.n_frames >= 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: no run with this path"),
        (["RUN", "--checkpoint", "7"], "no checkpoint of step 7"),
        (["RUN", "-e", "0"], "--episodes must be positive, but got 0"),
        (["RUN", "--env", "CartPole-v1"], "the model does not fit the environment: observations: the model has Box"),
        (["RUN", "--env", "Nope-v0"], "unknown environment 'Nope-v0'"),
        (["RUN", "--video", "film.avi"], "a video must be an .mp4 or a .gif file"),
        (["RUN", "--video", "film.gif", "--render"], "--video cannot be given with --render"),
        (["RUN", "--algo", "sac"], "its algorithm is ppo, not sac; leave out --algo"),
        (["CHECKPOINT", "--algo", "sac"], "its algorithm is ppo, not sac; leave out --algo"),
        (
            ["CHECKPOINT", "--checkpoint", "latest"],
            "is a single checkpoint; leave out --checkpoint latest, or name the run",
        ),
    ],
)
def test_mistakes_exit_with_2(arguments: list[str], message: str, trained: Path) -> None:
    places = {"RUN": trained, "CHECKPOINT": trained / "checkpoints" / "best"}
    result = enjoy(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_display_is_an_error(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    result = enjoy(trained, "--render")
    assert result.exit_code == 2
    assert "no display found" in result.stderr


def test_a_run_without_a_checkpoint_is_an_error(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("status.json", "meta.json", "config.resolved.yaml"):
        (tmp_path / "run" / name).write_bytes((trained / name).read_bytes())
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        find_agent(tmp_path / "run")
    with pytest.raises(CheckpointError, match="is neither a run nor a checkpoint"):
        find_agent(tmp_path)


def test_train_eval_only_is_the_same(trained: Path) -> None:
    result = CliRunner().invoke(cli, ["train", "--eval-only", "--checkpoint", str(trained)])
    assert result.exit_code == 0, result.output
    assert result.stdout == enjoy(trained).stdout
    chosen = ["--seed", "3", "--episodes", "2"]
    result = CliRunner().invoke(cli, ["train", "--eval-only", "--checkpoint", str(trained), *chosen])
    assert result.stdout == enjoy(trained, *chosen).stdout != enjoy(trained, "--episodes", "2").stdout


def test_plots_a_run(trained: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(cli, ["plot", str(trained), "-o", "one.png"])
    assert (result.exit_code, result.stdout) == (0, "one.png\n"), result.output
    result = runner.invoke(
        cli, ["plot", str(trained), str(trained), "-o", "two.svg", "--csv", "two.csv", "--x", "time"]
    )
    assert result.exit_code == 0, result.output
    assert Path("two.svg").read_text().startswith("<?xml")
    assert Path("two.csv").read_text().count("\n") > 3
    for arguments, message in (
        (["nothing"], "no run with this path"),
        ([str(trained), "-o", "a.xyz"], "a.xyz"),
    ):
        result = runner.invoke(cli, ["plot", *arguments])
        assert result.exit_code == 2, result.output
        assert message in result.stderr
