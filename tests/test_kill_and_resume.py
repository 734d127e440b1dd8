"""Runs that are killed again and again; see ``zoo_scripts/kill_and_resume.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sb3_ext import RunError
from sb3_ext.cli import cli
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession

CREATION = """
import os, sys
from pathlib import Path
from sb3_ext.runs import session

def die_before(number, function):
    def write(*arguments, **keywords):
        global written
        if written == number:
            (Path(sys.argv[1]) / f".{Path(arguments[0]).name}.abcdefgh").touch()  # half written
            os._exit(9)
        written += 1
        return function(*arguments, **keywords)
    return write

written = 0
for name in ("write_text", "write_json", "TrainingLog"):
    setattr(session, name, die_before(int(sys.argv[2]), getattr(session, name)))
session.RunSession.create(Path(sys.argv[1]), config_text="seed: 1", resolved_config_text="seed: 1", meta={})
"""
MOMENTS_OF_CREATION = range(6)
COMMAND = [
    "train", "--algo", "ppo", "--env", "CartPole-v1", "--set", "agent.params.n_steps=16", "--batch-size", "16",
    "--threads", "1", "--total-steps", "32", "--set", "eval.episodes=1", "--resume",
]  # fmt: skip


def kill_while_creating(directory: Path, moment: int) -> None:
    command = [sys.executable, "-c", CREATION, str(directory), str(moment)]
    assert subprocess.run(command, timeout=60).returncode == 9


@pytest.mark.parametrize("moment", MOMENTS_OF_CREATION)
def test_a_creation_that_was_killed_begins_again(moment: int, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", moment)
    with RunSession.create(tmp_path / "run", config_text="seed: 2", resolved_config_text="", meta={}) as session:
        session.finish("total_steps")
    assert session.paths.config.read_text() == "seed: 2"
    assert list((tmp_path / "run").glob(".*")) == []


@pytest.mark.parametrize("moment", [1, 5])
def test_the_same_command_begins_a_run_whose_creation_was_killed(moment: int, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", moment)
    result = CliRunner().invoke(cli, [*COMMAND, "--run-dir", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert Run(tmp_path / "run").status == "completed"


@pytest.mark.parametrize("strange", ["notes.txt", ".git", "checkpoints"])
def test_what_somebody_has_put_there_is_not_taken_for_a_killed_creation(strange: str, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", 3)
    (tmp_path / "run" / strange).mkdir()
    with pytest.raises(RunError, match="not empty"):
        RunSession.create(tmp_path / "run", config_text="", resolved_config_text="", meta={})
