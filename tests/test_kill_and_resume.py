"""Kill and resume runs repeatedly; see ``tests/harness/kill_and_resume.py``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from checkpoint_ledger import CheckpointLedger
from run_digests import digest_run
from sb3_ext import RunError, train
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.retention import Retention
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
def test_a_run_killed_while_it_was_created_is_created_again(moment: int, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", moment)
    with RunSession.create(tmp_path / "run", config_text="seed: 2", resolved_config_text="", meta={}) as session:
        session.finish("total_steps")
    assert session.paths.config.read_text() == "seed: 2"
    assert list((tmp_path / "run").glob(".*")) == []


@pytest.mark.parametrize("moment", [1, 5])
def test_the_same_command_restarts_a_run_killed_while_it_was_created(moment: int, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", moment)
    result = CliRunner().invoke(cli, [*COMMAND, "--run-dir", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert Run(tmp_path / "run").status == "completed"


@pytest.mark.parametrize("strange", ["notes.txt", ".git", "checkpoints"])
def test_other_directories_are_not_taken_for_unfinished_runs(strange: str, tmp_path: Path) -> None:
    kill_while_creating(tmp_path / "run", 3)
    (tmp_path / "run" / strange).mkdir()
    with pytest.raises(RunError, match="not empty"):
        RunSession.create(tmp_path / "run", config_text="", resolved_config_text="", meta={})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 20},
        "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 16, "batch_size": 16}},
        "train": {
            "total_steps": 96,
            "callbacks": [{"type": "checkpoint", "params": {"interval": 16, "keep_last": None}}],
        },
        "eval": {"episodes": 1, "every_steps": None},
    }
    return train(config, run_dir=tmp_path / "run")


@pytest.fixture
def ledger(run: Run) -> CheckpointLedger:
    made = CheckpointLedger(run.paths.checkpoints, Retention())
    assert made.check() == []
    return made


def test_the_ledger_reports_a_missing_checkpoint(ledger: CheckpointLedger) -> None:
    shutil.rmtree(ledger.directory / "step_000000080")
    assert ledger.check() == ["the checkpoint of step 80 is lost"]
    shutil.rmtree(ledger.directory / "step_000000096")
    assert "the newest step went back from 96 to 64" in ledger.check()


def test_the_ledger_reports_a_damaged_checkpoint(ledger: CheckpointLedger) -> None:
    weights = ledger.directory / "step_000000096" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert any("damaged" in problem for problem in ledger.check())


def test_the_ledger_accepts_deletions_by_the_retention_rule(ledger: CheckpointLedger) -> None:
    prunable = CheckpointStore(ledger.directory).list_prunable(Retention())
    assert prunable
    for bundle in prunable:
        shutil.rmtree(bundle.path)
    assert ledger.check() == []


def test_the_ledger_accepts_an_unfinished_save(ledger: CheckpointLedger) -> None:
    assert ledger.find_save() is None
    (ledger.directory / ".step_000000080.abcdefgh").mkdir()
    assert ledger.find_save() is None
    (ledger.directory / ".step_000000112.abcdefgh").mkdir()
    assert ledger.find_save() == ".step_000000112.abcdefgh"
    ledger.check()
    assert ledger.find_save() is None


def test_digests_of_different_runs_differ(run: Run) -> None:
    before = digest_run(run.paths.root)
    assert digest_run(run.paths.root) == before
    (monitor,) = run.paths.monitor.iterdir()
    monitor.write_text(monitor.read_text() + "1.0,1,0.1\n")
    after = digest_run(run.paths.root)
    assert {name for name in before if after[name] != before[name]} == {"Monitor rows"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", [("--algorithm", "dqn"), pytest.param(("--game",), marks=pytest.mark.slow)])
def test_three_kills(run_harness: Callable[..., str], options: tuple[str, ...]) -> None:
    run_harness("kill_and_resume.py", *options, "--kills", "3", "--fork")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [
        ("ppo", "--kills", "15"),
        ("dqn", "--kills", "15"),
        ("dqn", "--kills", "10", "--mode", "subproc"),
        ("ppo", "--kills", "10", "--mode", "workers"),
        ("dqn", "--kills", "10", "--mode", "workers"),
    ],
)
def test_forty_kills(run_harness: Callable[..., str], options: tuple[str, ...]) -> None:
    run_harness("kill_and_resume.py", "--seed", "1", "--algorithm", *options)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifteen_kills_of_self_play(run_harness: Callable[..., str]) -> None:
    run_harness("kill_and_resume.py", "--seed", "1", "--game", "--kills", "15")
