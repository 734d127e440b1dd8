"""Self-play with a pool of opponents in two ranks: one pool, whose snapshots rank 0 writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kill_and_resume import make_game_config
from rank_processes import run_commands
from run_digests import digest_run
from sb3_ext import load_run
from sb3_ext.checkpoints.bundle.bundle import verify_bundle
from sb3_ext.runs.run import Run
from sb3_ext.selfplay.pool.snapshot_store import SNAPSHOT_PREFIX

STEPS = 512


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    def write(*callbacks: dict[str, Any], **train: Any) -> Path:
        config = make_game_config(kills=0)
        config["parallel"]["num_envs"] = 4
        config["agent"]["params"] |= {"n_steps": 8, "batch_size": 16}
        config["train"] |= {
            "total_steps": STEPS,
            "callbacks": [{"type": "checkpoint", "params": {"interval": 128}}, *callbacks],
            **train,
        }
        config["eval"] = {"every_steps": 256, "episodes": 2}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


def read_pool(run: Run, rank: int) -> dict[str, Any]:
    state = verify_bundle((run.paths.checkpoints / "latest").resolve()).read_state(rank)
    [pool] = [entry["state"]["pool"] for entry in state.values["callbacks"] if entry["key"] == "opponent_pool"]
    return dict(pool)


def test_ranks_have_one_pool_with_the_games_of_all(write_config: Callable[..., Path], tmp_path: Path) -> None:
    ends = run_commands(["train", str(write_config()), "--run-dir", str(tmp_path / "run")])
    assert [end.exit_status for end in ends] == [0, 0], ends
    assert ends[1].output == ""
    run = load_run(tmp_path / "run")
    first, second = read_pool(run, 0), read_pool(run, 1)
    for name in ("episodes", "members", "seen", "retired", "results"):
        assert first[name] == second[name]
    assert first["episodes"] == run.record.episode == sum(sum(counts) for counts in first["results"].values())
    assert first["seen"] > 3
    assert len(first["members"]) == 3
    directories = {path.name for path in run.paths.opponents.iterdir() if path.is_dir()}
    assert directories == {*first["members"], *first["retired"]}
    snapshots = {name for name in run.metrics["ratings"] if name.startswith(SNAPSHOT_PREFIX)}
    assert snapshots
    assert snapshots <= set(first["results"])


def test_ranks_learn_the_same_from_a_lookahead(write_config: Callable[..., Path], tmp_path: Path) -> None:
    command = ["train", str(write_config(lookahead={"temperature": 0.2})), "--run-dir", str(tmp_path / "run")]
    # At every checkpoint the ranks compare their weights, and end with an error if these differ.
    assert [end.exit_status for end in run_commands(command)] == [0, 0]
    assert load_run(tmp_path / "run").record.step == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_self_play_continues_exactly_after_a_rank_was_killed(
    rank: int, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert [end.exit_status for end in run_commands(["train", str(write_config()), "--run-dir", str(whole)])] == [0, 0]
    fault = {"step": 300, "rank": rank, "signal_name": "SIGKILL", "marker": str(tmp_path / "marker")}
    config = write_config({"type": "rank_faults:RankFaultCallback", "params": fault})
    command = ["train", str(config), "--run-dir", str(parts), "--resume"]
    ends = run_commands(command)
    assert ends[rank].exit_status == -9, ends
    assert [end.exit_status for end in run_commands(command)] == [0, 0]
    assert digest_run(parts) == digest_run(whole)
    for other in (0, 1):
        assert read_pool(load_run(parts), other) == read_pool(load_run(whole), other)
    assert "approximate" not in (parts / "logs" / "training.log").read_text()


@pytest.mark.slow
def test_another_number_of_ranks_continues_with_the_same_pool(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    [end] = run_commands(["train", str(write_config()), "--run-dir", str(tmp_path / "run")], size=1)
    assert end.exit_status == 0, end
    before = read_pool(load_run(tmp_path / "run"), 0)
    command = ["train", "--resume", str(tmp_path / "run"), "--total-steps", str(STEPS + 32)]
    assert [end.exit_status for end in run_commands(command)] == [0, 0]
    run = load_run(tmp_path / "run")
    after = read_pool(run, 1)
    assert read_pool(run, 0)["members"] == after["members"]
    assert after["episodes"] >= before["episodes"]
    assert {*before["members"]} <= {*after["members"], *after["retired"]}
    assert "it is removed from the pool" not in run.paths.log.read_text()
