"""``agent.init_from``: start a run with the weights of a run, a checkpoint or a zip saved by SB3."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from stable_baselines3 import PPO

import sb3_ext
from sb3_ext import CheckpointError, ConfigError, load_run, resume
from sb3_ext.cli import cli
from sb3_ext.training.loop import train_run
from sb3_ext.training.start import start_run


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_config(init_from: object = None, *, net_arch: tuple[int, ...] = (8,)) -> dict[str, Any]:
    """A run of one rollout that does not change its weights."""
    params = {"n_steps": 8, "batch_size": 8, "learning_rate": 0.0, "policy_kwargs": {"net_arch": list(net_arch)}}
    agent: dict[str, Any] = {"id": "ppo", "threads": 1, "params": params}
    if init_from is not None:
        agent["init_from"] = str(init_from)
    return {
        "seed": 1,
        "env": {"id": "CartPole-v1"},
        "parallel": {"mode": "sequential"},
        "agent": agent,
        "train": {"total_steps": 8},
        "eval": {"every_steps": None},
    }


def train(config: dict[str, Any], run_dir: str) -> None:
    train_run(start_run(config, run_dir), draws_curves=False)


def save_zip(path: str = "theirs.zip") -> dict[str, torch.Tensor]:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, seed=7, policy_kwargs={"net_arch": [8]})
    model.save(path)
    return model.policy.state_dict()


def read_weights(run: Path | str) -> dict[str, torch.Tensor]:
    return sb3_ext.load(Path(run) / "checkpoints" / "latest", device="cpu").policy.state_dict()


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(weights[name], tensor), name


def test_a_zip_of_stock_sb3_is_read_without_pickles() -> None:
    weights = save_zip()
    with zipfile.ZipFile("theirs.zip") as source, zipfile.ZipFile("weights.zip", "w") as target:
        for name in source.namelist():  # what is pickled in data cannot be unpickled
            content = b'{"policy_class": {":serialized:": "!"}}' if name == "data" else source.read(name)
            target.writestr(name, content)
    train(make_config("weights.zip"), "run")
    assert_same(read_weights("run"), weights)


def test_init_from_on_the_command_line() -> None:
    weights = save_zip()
    arguments = ["--algo", "ppo", "--env", "CartPole-v1", "--total-steps", "8", "--run-dir", "run", "--quiet"]
    params = ["n_steps=8", "batch_size=8", "learning_rate=0.0", "policy_kwargs.net_arch=[8]"]
    assignments = [part for param in params for part in ("--set", f"agent.params.{param}")]
    result = CliRunner().invoke(cli, ["train", *arguments, *assignments, "--init-from", "theirs.zip"])
    assert result.exit_code == 0, result.output
    assert_same(read_weights("run"), weights)


def test_weights_of_a_run_by_name_and_of_a_copied_checkpoint() -> None:
    train(make_config(), "runs/first")
    weights = read_weights("runs/first")
    shutil.copytree("runs/first/checkpoints/latest", "elsewhere/copied")
    for number, init_from in enumerate(["first", "elsewhere/copied"]):
        train({**make_config(init_from), "seed": 2}, f"run{number}")
        assert_same(read_weights(f"run{number}"), weights)


def test_a_run_resumes_and_plays_after_its_initial_weights_are_gone() -> None:
    save_zip()
    train(make_config("theirs.zip"), "run")
    Path("theirs.zip").unlink()
    assert resume("run", overrides=["train.total_steps=16"]).record.step == 16
    assert load_run("run").evaluate(1).episodes == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nope", None, "nope: no run with this path"),
        ("nope.zip", None, r"nope\.zip does not exist"),
        ("text.zip", b"text", r"text\.zip is not a readable zip file"),
        ("empty.zip", b"PK\5\6" + bytes(18), r"empty\.zip is not a model of SB3: it has no member policy\.pth"),
    ],
)
def test_unreadable_weights_are_refused_before_a_run_is_made(name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"agent\.init_from: " + message):
        train(make_config(name), "run")
    assert not Path("run").exists()


def test_weights_of_another_task_are_refused_before_a_run_is_made() -> None:
    train(make_config(), "first")
    config = {**make_config("first"), "env": {"id": "Acrobot-v1"}}
    with pytest.raises(ConfigError) as caught:
        start_run(config, "run")
    message = "the weights cannot fit: first is ppo on CartPole-v1; this is ppo on Acrobot-v1"
    assert str(caught.value).endswith(f"agent.init_from: {message}")
    assert not Path("run").exists()


def test_weights_of_another_shape_are_refused_in_one_line() -> None:
    save_zip()
    message = (
        r"agent\.init_from: theirs\.zip: the weights do not fit the model: \S+ has shape \[8, 4\], expected \[9, 4\]$"
    )
    with pytest.raises(CheckpointError, match=message):
        train(make_config("theirs.zip", net_arch=(9,)), "run")
