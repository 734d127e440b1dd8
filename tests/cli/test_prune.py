"""``sb3-ext runs prune``, on real runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sb3_ext import train
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.runs.lock import RunLock


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    return train(config, run_dir=tmp_path_factory.mktemp("prune") / "run").paths.root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))


def prune(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["runs", "prune", *map(str, arguments)], input=answer)


def list_steps(run: Path) -> list[int]:
    return [bundle.step for bundle in CheckpointStore(run / "checkpoints").list_bundles()]


def test_it_asks_and_a_no_keeps_all(run: Path) -> None:
    before = list_steps(run)
    result = prune(run, answer="n\n")
    kept = {CheckpointStore(run / "checkpoints").resolve("best").step, 80, 96}
    assert f"remove {6 - len(kept)} of 6 checkpoints?" in result.output
    assert list_steps(run) == before


def test_the_best_and_the_last_stay(run: Path) -> None:
    best = CheckpointStore(run / "checkpoints").resolve("best").step
    result = prune(run, "--yes")
    assert (result.exit_code, set(list_steps(run))) == (0, {best, 80, 96})
    assert "freed" in result.output
    assert prune(run, "--yes").output == "run: nothing to remove\n"


def test_what_was_set_aside_goes(run: Path) -> None:
    store = CheckpointStore(run / "checkpoints")
    store.set_aside_newer(32)
    result = prune(run, "--yes")
    assert "removed 4" in result.output
    assert store.list_set_aside() == []
    assert list_steps(run) == [32, 16]


def test_a_living_run_is_left_alone(run: Path) -> None:
    lock = RunLock(run / "lock")
    try:
        (run / "status.json").write_text((run / "status.json").read_text().replace("completed", "running"))
        result = prune(run, "--yes")
    finally:
        lock.release()
    assert result.exit_code == 2
    assert len(list_steps(run)) == 6


def test_keeping_less_than_the_last_two_is_refused() -> None:
    result = CliRunner().invoke(cli, ["runs", "prune", "mine", "--keep-last", "1"])
    assert result.exit_code == 2
    assert "1 is not in the range x>=2" in result.stderr
