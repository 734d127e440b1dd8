"""``sb3-ext train``: flags, exit statuses, and real signals to real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result
from stable_baselines3 import DQN

from sb3_ext.cli import cli
from sb3_ext.cli.train import _print_summary
from sb3_ext.runs.run import Run

WAIT_SECONDS = 60
TINY = ["--set", "agent.params.policy_kwargs.net_arch=[8]", "--set", "agent.threads=1", "--set", "eval.episodes=2"]
PPO = ["--algo", "ppo", "--env", "CartPole-v1", "--set", "agent.params.n_steps=16", "--batch-size", "8", *TINY]

Start = Callable[..., "subprocess.Popen[str]"]

PARALLEL = [
    pytest.param(["--num-envs", "2", "--set", "parallel.mode=subproc"], marks=pytest.mark.slow, id="subproc"),
    pytest.param(["--num-workers", "2", "--num-envs-per-worker", "2"], id="workers"),
]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["train", *arguments])


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def start_training() -> Iterator[Start]:
    """Start ``sb3-ext train`` in a process group of its own; whatever is left of it is ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sb3_ext", "train", *arguments, "--run-dir", "run"]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def training() -> bool:
    status = Path("run/status.json")
    return status.exists() and Run(Path("run")).record.step > 0


def train_and(act: Callable[[], object], when: Callable[[], bool], *arguments: str) -> Result:
    """Train in this process, which ends many times sooner than one of its own, and act from another thread."""

    def wait_and_act() -> None:
        wait_until(when)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    result = invoke(*arguments, "--run-dir", "run")
    thread.join()
    return result


def test_flags_reach_the_configuration() -> None:
    result = invoke(*PPO, "--total-steps", "32", "--seed", "5", "--gamma", "0.9", "--learning-rate", "linear(1e-3)",
                    "--num-envs", "2", "--max-steps", "9", "--force-cpu", "--run_dir", "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    resolved = yaml.safe_load(Path("run/config.resolved.yaml").read_text())
    assert (resolved["seed"], resolved["parallel"]["num_envs"], resolved["env"]["max_steps"]) == (5, 2, 9)
    params = resolved["agent"]["params"]
    assert (params["gamma"], params["learning_rate"], params["batch_size"]) == (0.9, "linear(1e-3)", 8)
    assert resolved["agent"]["device"] == "cpu"


def test_the_summary_says_where_everything_is() -> None:
    result = invoke(*PPO, "--total-steps", "32", "-o", "run")
    assert result.stdout.splitlines()[0] == "completed (total_steps)"
    for path in ("run/checkpoints/latest/model.zip", "run/metrics.json", "run/logs/training.log", "run/tensorboard"):
        assert path in result.stdout
        assert Path(path).exists()


def test_quiet_prints_the_summary_alone_and_verbose_prints_more() -> None:
    quiet = invoke(*PPO, "--total-steps", "32", "-o", "a", "--quiet")
    usual = invoke(*PPO, "--total-steps", "32", "-o", "b")
    assert quiet.stderr == ""
    assert "run directory:" in usual.stderr


def test_five_mistakes_print_five_lines_and_exit_with_2() -> None:
    Path("my.yaml").write_text("env: {id: CartPol-v1}\nagent: {id: ppo, parms: 1, params: {n_step: 1}}\nsed: 1\n")
    result = invoke("my.yaml", "--total-steps", "ten", "-o", "run")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 5
    assert "Traceback" not in result.output
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_config"], "no such file or shipped configuration"),
        ([], "what to train?"),
        (["a.yaml", "-c", "b.yaml"], "--config cannot be given with CONFIG"),
        ([*PPO, "--bogus"], "No such option"),
        ([*PPO, "--set", "gamma"], "expected KEY=VALUE"),
        ([*PPO, "--seed", "x"], "--seed: seed: expected an integer"),
        ([*PPO, "-o", "a b"], "letters, digits"),
        ([*PPO, "--algo", "dqn", "--env", "Pendulum-v1"], "dqn acts in Discrete spaces"),
    ],
)
def test_mistakes_exit_with_2_and_leave_nothing(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(Path().glob("runs/*")) == []


def test_a_failing_run_exits_with_1_and_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("broken_wrapper.py").write_text(
        "import gymnasium\n"
        "class Broken(gymnasium.Wrapper):\n"
        "    def step(self, action):\n"
        "        raise OSError('gone')\n"
    )
    result = invoke(*PPO, "-o", "run", "--set", "env.wrappers=[broken_wrapper.Broken]")
    assert result.exit_code == 1
    *_, failure, place = result.stderr.splitlines()
    assert failure.startswith("failed: OSError: gone (")
    assert "broken_wrapper.py:4" in failure
    assert place == "traceback: run/logs/training.log"
    assert "Traceback" in Path("run/logs/training.log").read_text()
    assert Run(Path("run")).status == "failed"


@pytest.mark.parametrize(
    ("how", "reason", "exit_status"),
    [("SIGINT", "signal SIGINT", 130), ("SIGTERM", "signal SIGTERM", 75), ("stop file", "stop file", 0)],
)
def test_ends_well_when_asked_to(how: str, reason: str, exit_status: int) -> None:
    def ask() -> None:
        if how == "stop file":
            Path("run/stop").touch()
        else:
            os.kill(os.getpid(), getattr(signal, how))

    result = train_and(ask, training, "cartpole_dqn", "--total-steps", "1000000", *TINY)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (exit_status, f"stopped ({reason})"), result.output
    run = Run(Path("run"))
    assert (run.status, run.record.stop_reason) == ("stopped", reason)
    assert not run.paths.pid.exists()
    assert not run.paths.stop.exists()
    assert DQN.load(run.paths.latest_model).num_timesteps == run.record.step


@pytest.mark.parametrize("mode", PARALLEL)
def test_ctrl_c_reaches_the_whole_group_and_workers_wait_for_the_parent(start_training: Start, mode: list[str]) -> None:
    process = start_training(*PPO, "--total-steps", "1000000", *mode)
    wait_until(training)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert Run(Path("run")).record.stop_reason == "signal SIGINT"
    assert Path("run/checkpoints/latest/model.zip").exists()


@pytest.mark.parametrize("mode", PARALLEL)
def test_kill_leaves_no_process_behind(start_training: Start, mode: list[str]) -> None:
    process = start_training(*PPO, "--total-steps", "1000000", *mode)
    wait_until(training)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
    assert alive == []
    assert Run(Path("run")).status == "dead"


def test_the_second_of_two_processes_is_refused(start_run: Callable[[Path], subprocess.Popen[str]]) -> None:
    process = start_run(Path("run"))
    result = invoke(*PPO, "-o", "run")
    assert result.exit_code == 2
    assert f"(pid {process.pid}) owns this run directory; `sb3-ext runs watch` shows" in result.stderr
    assert f"`sb3-ext runs stop {Path('run').absolute()}` ends this one" in result.stderr
    assert Run(Path("run")).status == "running"


def test_a_signal_before_training_ends_the_command_at_once() -> None:
    hanging = ["--env", "faulty_env:faulty/Faulty-v0", "--set", "env.params={fault: hang, at_step: 3}"]
    log = Path("run/logs/training.log")
    result = train_and(
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        lambda: log.exists() and "run directory" in log.read_text(),
        *("--algo", "ppo", *hanging),
    )
    assert (result.exit_code, result.stdout.splitlines()[0]) == (75, "stopped (signal SIGTERM)"), result.output
    assert result.stdout.splitlines()[-1] == "  continue         sb3-ext train --resume run"
    assert Run(Path("run")).status == "stopped"


def test_the_summary_names_a_better_earlier_agent(capsys: pytest.CaptureFixture[str]) -> None:
    result = invoke(*PPO, "--total-steps", "32", "--set", "eval.every_steps=16", "--run-dir", "run")
    assert result.exit_code == 0, result.output
    run = Run(Path("run"))
    for best, is_named in ((9999.0, True), (run.metrics["last_evaluation"]["mean_return"], False)):
        _print_summary(run, replace(run.record, best_evaluation=best))
        lines = capsys.readouterr().out.splitlines()
        assert ("  best return      9999.00, of an earlier agent, which `sb3-ext enjoy` plays" in lines) == is_named
        assert ("  best model       run/checkpoints/best/model.zip" in lines) == is_named
    assert run.paths.best_model.exists()


def test_warnings_of_sb3_are_shown(start_training: Start) -> None:
    process = start_training(*PPO, "--batch-size", "12", "--total-steps", "16")
    _, shown = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, shown
    assert "You have specified a mini-batch size of 12" in shown
