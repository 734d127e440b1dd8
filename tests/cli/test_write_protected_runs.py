"""A run that this user may read but not write, such as that of another user."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sb3_ext import train
from sb3_ext.cli import cli

WriteProtecting = Callable[[Path], AbstractContextManager[None]]

CONFIG = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 16, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {
        "total_steps": 64,
        "callbacks": [{"type": "checkpoint", "params": {"interval": 16, "keep_last": None, "self_test": False}}],
    },
    "eval": {"episodes": 1, "every_steps": 16},
}


@pytest.fixture
def run(shared_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tempfile.gettempdir())  # what is written beside the run can be written
    return train(CONFIG, run_dir=shared_directory / "run").paths.root


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_it_is_read_and_one_line_refuses_to_write(run: Path, write_protecting: WriteProtecting) -> None:
    output = run.parent.with_suffix(".written")
    output.mkdir()
    output.chmod(0o777)
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    reading: list[tuple[object, ...]] = [
        ("runs", "list", "--all", "--root", run.parent),
        ("runs", "show", run),
        ("runs", "logs", run),
        ("runs", "watch", run),
        ("runs", "stop", run),  # it has ended
        ("enjoy", run, "--episodes", 1, "--json", output / "a.json"),
        ("plot", run, "--output", output / "a.png"),
        ("report", run, "--output", output / "a.html", "--force"),
    ]
    for words in reading:  # what they import may be out of reach for another user
        invoke(*words)
    for path in output.iterdir():
        path.unlink()
    with write_protecting(run.parent):
        for words in reading:
            result = invoke(*words)
            assert (result.exit_code, result.exception) == (0, None), (words, result.output)
        for words, message in (
            (("runs", "sync", run), f"{run}: cannot be written: no permission to write in {run}"),
            (("runs", "remove", "--yes", run), f"{run}: cannot be removed: no permission to write in {run}"),
            (
                ("runs", "prune", "--yes", run),
                f"{run}/checkpoints: cannot be written: no permission to write in {run}/checkpoints",
            ),
            (
                ("runs", "resume", run, "--set", "train.total_steps=128"),
                f"{run}: cannot resume here: Permission denied",
            ),
            (
                ("train", "--resume", run, "--total-steps", 128),
                f"{run}: cannot resume here: Permission denied",
            ),
        ):
            result = invoke(*words)
            assert (result.exit_code, result.stderr.splitlines()[-1:]) == (2, [message]), (words, result.output)
            assert "Traceback" not in result.output
    shutil.rmtree(output)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == checkpoints


def test_a_run_in_a_write_protected_directory_is_not_half_removed(
    run: Path, write_protecting: WriteProtecting, tmp_path: Path
) -> None:
    files = sorted(run.rglob("*"))
    for path in (run, *files):
        path.chmod(0o777)
    run.parent.chmod(0o555)
    with write_protecting(tmp_path):  # to be another user
        result = invoke("runs", "remove", "--yes", run)
    run.parent.chmod(0o755)
    message = f"{run}: cannot be removed: no permission to write in {run.parent}\n"
    assert (result.exit_code, result.output) == (2, message)
    assert sorted(run.rglob("*")) == files


def test_an_error_of_the_disk_has_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "/mnt/x")

    monkeypatch.setattr(importlib.import_module("sb3_ext.cli.runs"), "find_runs", fail)
    result = invoke("runs", "list")
    assert (result.exit_code, result.output) == (2, "/mnt/x: cannot be written: Read-only file system\n")
