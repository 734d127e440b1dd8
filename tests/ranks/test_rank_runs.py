"""``sb3-ext train`` in two ranks: one run directory, checkpoints of both ranks, and ends that both ranks share."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from stable_baselines3 import PPO

from rank_kills import make_config, start_torchrun
from rank_processes import find_free_port, make_variables, run_commands
from run_digests import digest_run
from sb3_ext import load_run
from sb3_ext.checkpoints.bundle import versions
from sb3_ext.checkpoints.bundle.bundle import verify_bundle
from sb3_ext.runs import session

STEPS = 768
Train = Callable[..., list[Any]]


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "config", **changes: Any) -> Path:
        config = make_config("ppo", STEPS, interval=128)
        for key, value in changes.items():
            section, _, last = key.rpartition("__")
            target = config[section] if section else config
            target[last] = value
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks that was not interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    config = directory / "config.yaml"
    config.write_text(yaml.safe_dump(make_config("ppo", STEPS, interval=128)))
    ends = run_commands(["train", str(config), "--run-dir", str(directory / "run")])
    assert [end.exit_status for end in ends] == [0, 0], ends
    assert ends[1].output == "", "only rank 0 prints"
    return directory / "run"


def test_rank_0_writes_the_episodes_and_steps_of_all_ranks(whole: Path) -> None:
    run = load_run(whole)
    assert run.record.step == STEPS
    assert run.record.stop_reason == "total_steps"
    lengths = run.metrics["episodes"]["length"]
    assert run.record.episode == len(lengths)
    assert STEPS - 4 * 50 <= sum(lengths) <= STEPS
    assert yaml.safe_load((whole / "config.resolved.yaml").read_text())["parallel"]["num_envs"] == 4


def test_a_checkpoint_contains_all_ranks_and_opens_as_any_other(whole: Path) -> None:
    bundle = verify_bundle((whole / "checkpoints" / "latest").resolve())
    assert bundle.manifest.ranks == 2
    assert bundle.manifest.exact
    first, second = bundle.read_state(0), bundle.read_state(1)
    assert (first.arrays["random/torch"] != second.arrays["random/torch"]).any()
    assert PPO.load(bundle.model_path, device="cpu").num_timesteps == STEPS


@pytest.mark.parametrize(
    ("signal_name", "rank", "step", "statuses"),
    [
        ("SIGTERM", 1, 20, [75, 75]),  # in the first rollout, whose end a stop does not wait for
        ("SIGKILL", 0, 300, [-9, 75]),
        pytest.param("SIGTERM", 1, 300, [75, 75], marks=pytest.mark.slow),
        pytest.param("SIGKILL", 1, 300, [75, -9], marks=pytest.mark.slow),
        pytest.param("SIGTERM", 0, 300, [75, 75], marks=pytest.mark.slow),
        pytest.param("SIGTERM", 0, 20, [75, 75], marks=pytest.mark.slow),
    ],
)
def test_a_run_continues_exactly_after_a_rank_was_ended(
    signal_name: str,
    rank: int,
    step: int,
    statuses: list[int],
    whole: Path,
    write_config: Callable[..., Path],
    tmp_path: Path,
) -> None:
    fault = {"step": step, "rank": rank, "signal_name": signal_name, "marker": str(tmp_path / "marker")}
    callbacks = [
        {"type": "checkpoint", "params": {"interval": 128, "keep_last": 2}},
        {"type": "rank_faults:RankFaultCallback", "params": fault},
    ]
    command = ["train", str(write_config(train__callbacks=callbacks)), "--run-dir", str(tmp_path / "run"), "--resume"]
    ends = run_commands(command)
    assert [end.exit_status for end in ends] == statuses, ends
    if statuses[0] == 75:
        expected = "signal SIGTERM" if signal_name == "SIGTERM" else "rank lost"
        assert load_run(tmp_path / "run").record.stop_reason == expected
    ends = run_commands(command)
    assert [end.exit_status for end in ends] == [0, 0], ends
    assert digest_run(tmp_path / "run") == digest_run(whole)
    assert "approximate" not in (tmp_path / "run" / "logs" / "training.log").read_text()


@pytest.mark.slow
def test_two_launchers_train_one_run_as_on_two_machines(
    whole: Path, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1"]
    options += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{find_free_port()}"]
    command = ["train", str(write_config()), "--run-dir", str(tmp_path / "run")]
    outputs = [tmp_path / "first", tmp_path / "second"]
    launchers = [start_torchrun(command, output, *options) for output in outputs]
    try:
        statuses = [launcher.wait(400) for launcher in launchers]
    finally:
        for launcher in launchers:
            launcher.terminate()
            launcher.wait()
    assert statuses == [0, 0], [output.read_text() for output in outputs]
    assert digest_run(tmp_path / "run") == digest_run(whole)


def test_another_number_of_ranks_continues_with_new_episodes(whole: Path, tmp_path: Path) -> None:
    command = ["train", "--resume", str(whole), "--run-dir", str(tmp_path / "run"), "--total-steps", str(STEPS + 128)]
    [end] = run_commands(command, size=1)
    assert end.exit_status == 0, end
    run = load_run(tmp_path / "run")
    assert run.record.step == STEPS + 128
    reason = "the checkpoint is of 2 ranks, and 1 train from now on; environments begin new episodes"
    assert reason in run.paths.log.read_text()
    assert verify_bundle((run.paths.checkpoints / "latest").resolve()).manifest.ranks == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parallel__num_envs": 1}, "parallel.num_envs: each of the 2 ranks needs an environment, found 1"),
        ({"parallel__num_envs": 3}, "parallel.num_envs: expected a multiple of the number of ranks, 2, found 3"),
        ({"agent__params": {"batch_size": 15, "n_steps": 15}}, "agent.params.batch_size: expected a multiple"),
        ({"agent__id": "trpo", "agent__params": {}}, "agent.id: trpo cannot be trained by 2 ranks"),
    ],
)
def test_what_ranks_cannot_share_is_one_message_of_rank_0(
    changes: dict[str, Any], message: str, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    ends = run_commands(["train", str(write_config(**changes)), "--run-dir", str(tmp_path / "run")])
    assert [end.exit_status for end in ends] == [2, 2]
    assert message in ends[0].output
    assert len(ends[0].output.splitlines()) == 1
    assert ends[1].output == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("difference", ["configuration", "options", "torch"])
def test_ranks_with_different_inputs_are_refused_in_one_message(
    difference: str, write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = str(write_config()), str(write_config("other", train__total_steps=128))
    command, other = ["train", first, "--run-dir", str(tmp_path / "run")], ["train", first, "--total-steps", "128"]
    if difference == "configuration":
        other = ["train", second]
        line = 1 + Path(first).read_text().splitlines().index("  total_steps: 768")
        expected = f"line {line} is 'total_steps: 128', not 'total_steps: 768'"
    elif difference == "options":
        expected = "'train.total_steps=128', not ''"
    else:
        other = command
        monkeypatch.setattr(versions, "read_versions", lambda: {"torch": f"2.{os.environ['RANK']}"})
        expected = "'2.1', not '2.0'"
    ends = run_commands(command, other)
    assert [end.exit_status for end in ends] == [2, 2], ends
    assert ends[0].output == f"rank 1 and rank 0 differ in {difference}: {expected}\n"
    assert ends[1].output == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("lacking", "prefix"), [("01", ""), ("1", "rank 1: ")])
def test_a_missing_back_end_is_one_message_of_rank_0(
    lacking: str, prefix: str, write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_gloo_available", lambda: os.environ["RANK"] not in lacking)
    ends = run_commands(["train", str(write_config()), "--run-dir", str(tmp_path / "run")])
    assert [end.exit_status for end in ends] == [2, 2], ends
    expected = "training with several ranks needs gloo, which this build of torch lacks"
    assert ends[0].output == f"{prefix}{expected}\n"
    assert ends[1].output == ""


def test_a_full_disk_at_the_start_is_one_message(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = session.write_text

    def write_once(path: Path, content: str, **options: Any) -> None:
        if path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_text(path, content, **options)

    monkeypatch.setattr(session, "write_text", write_once)
    ends = run_commands(["train", str(write_config()), "--run-dir", str(tmp_path / "run"), "--quiet"])
    assert [end.exit_status for end in ends] == [2, 2], ends
    path = tmp_path / "run" / "config.resolved.yaml"
    assert ends[0].output == f"{path}: cannot be written: No space left on device\n"
    assert ends[1].output == ""
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_during_training_loses_no_earlier_checkpoint(
    whole: Path, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    callbacks = [
        {"type": "checkpoint", "params": {"interval": 128, "keep_last": 2}},
        {"type": "full_disk:FullDiskCallback", "params": {"step": 300, "marker": str(tmp_path / "marker")}},
    ]
    command = ["train", str(write_config(train__callbacks=callbacks)), "--run-dir", str(tmp_path / "run"), "--resume"]
    ends = run_commands(command)
    assert [end.exit_status for end in ends] == [2, 0], ends
    assert "could not be written: File too large; once that is mended, `sb3-ext train --resume" in ends[0].output
    assert ends[1].output == ""
    run = load_run(tmp_path / "run")
    assert (run.status, run.record.stop_reason) == ("failed", "disk error")
    # The second one is written in the background, perhaps after the disk is full.
    assert run.record.last_checkpoint in ("step_000000128", "step_000000256")
    assert verify_bundle((run.paths.checkpoints / "latest").resolve()).path.name == run.record.last_checkpoint
    assert [end.exit_status for end in run_commands(command)] == [0, 0]
    assert digest_run(tmp_path / "run") == digest_run(whole)


def test_an_error_on_one_rank_ends_the_other(write_config: Callable[..., Path], tmp_path: Path) -> None:
    callbacks = [{"type": "rank_faults:RankErrorCallback", "params": {"step": 200, "rank": 1}}]
    ends = run_commands(["train", str(write_config(train__callbacks=callbacks)), "--run-dir", str(tmp_path / "run")])
    assert [end.exit_status for end in ends] == [75, 1]
    assert "a fault of the test" in ends[1].output
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["stop_reason"]) == ("stopped", "rank lost")


def test_a_mistake_that_every_rank_finds_is_reported_once(write_config: Callable[..., Path], tmp_path: Path) -> None:
    ends = run_commands(["train", str(write_config(agent__device="cuda:9")), "--run-dir", str(tmp_path / "run")])
    assert [end.exit_status for end in ends] == [2, 2], ends
    assert "agent.device: found 'cuda:9'" in ends[0].output
    assert ends[1].output == ""
    assert not (tmp_path / "run").exists()


def test_sigterm_ends_a_rank_that_waits_for_the_others(write_config: Callable[..., Path], tmp_path: Path) -> None:
    variables = {**os.environ, **make_variables(0, 2, find_free_port())}
    command = [sys.executable, "-m", "sb3_ext", "train", str(write_config()), "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, env=variables)
    try:
        wait_for_listener(int(variables["MASTER_PORT"]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "run").exists()


def wait_for_listener(port: int) -> None:
    """Wait until a process listens to a port, as rank 0 does from when it waits for the others."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"port {port}: no process listens")
