"""The evaluator in a process of its own: real processes, killed, failing and orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import psutil
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from process_commands import read_command
from sb3_ext.evaluation.background import BackgroundEvaluator
from sb3_ext.evaluation.evaluate import Evaluation, evaluate
from sb3_ext.evaluation.evaluators import EvaluationSettings

torch.set_num_threads(1)

PATIENCE_SECONDS = 60.0


def make_cartpole(num_envs: int = 2) -> VecEnv:
    return make_vec_env("CartPole-v1", num_envs, env_kwargs={"max_episode_steps": 40})


def make_model(algorithm: Any = PPO, policy: str = "MlpPolicy", **kwargs: Any) -> Any:
    return algorithm(policy, make_cartpole(), seed=1, device="cpu", policy_kwargs={"net_arch": [8]}, **kwargs)


# An evaluator comes from a server that has the heavy imports behind it, seconds sooner than a new Python.
FORKED = "sb3_ext.evaluation.background._START_METHOD", "forkserver"


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FORKED)


@pytest.fixture(scope="module")
def evaluator() -> Iterator[BackgroundEvaluator]:
    """One process for the tests that leave it alive."""
    evaluator = BackgroundEvaluator(make_cartpole, EvaluationSettings(episodes=5, deterministic=False, seed=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*FORKED)
        evaluator.submit(make_model())
    assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)
    yield evaluator
    evaluator.close()


def find_process(evaluator: BackgroundEvaluator) -> psutil.Process:
    assert evaluator._worker is not None
    return psutil.Process(evaluator._worker._process.pid)


@pytest.mark.parametrize(
    ("algorithm", "policy", "kwargs"),
    [
        (PPO, "MlpPolicy", {}),
        (DQN, "MlpPolicy", {"buffer_size": 100, "exploration_initial_eps": 0.5}),
        (RecurrentPPO, "MlpLstmPolicy", {}),
    ],
)
def test_the_background_evaluation_equals_one_in_this_process(
    evaluator: BackgroundEvaluator, algorithm: Any, policy: str, kwargs: dict[str, Any]
) -> None:
    model = make_model(algorithm, policy, **kwargs)
    model.buffer_size = 10**13  # no machine has room for a replay buffer of that size
    assert evaluator.receive() is None
    evaluator.submit(model)
    assert evaluator.is_busy

    outcome = evaluator.receive(PATIENCE_SECONDS)

    assert outcome == evaluate(model, make_cartpole(), 5, deterministic=False, seed=3)
    assert not evaluator.is_busy


def test_later_updates_do_not_reach_a_submitted_model(evaluator: BackgroundEvaluator) -> None:
    model = make_model(n_steps=16, batch_size=16)
    before = evaluate(model, make_cartpole(), 5, deterministic=False, seed=3)
    evaluator.submit(model)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(-5.0)

    assert evaluator.receive(PATIENCE_SECONDS) == before


@pytest.mark.usefixtures("forked")
def test_statistics_travel_with_the_model() -> None:
    evaluator = BackgroundEvaluator(lambda: VecNormalize(make_cartpole()), EvaluationSettings(episodes=4, seed=2))
    training = VecNormalize(make_cartpole())
    model = PPO("MlpPolicy", training, n_steps=64, seed=1, device="cpu", policy_kwargs={"net_arch": [8]})
    model.learn(256)
    frozen = VecNormalize(make_cartpole(), training=False, norm_reward=False)
    frozen.obs_rms = training.obs_rms
    try:
        evaluator.submit(model)
        assert evaluator.receive(PATIENCE_SECONDS) == evaluate(model, frozen, 4, seed=2)
    finally:
        evaluator.close()


def test_a_model_that_cannot_be_evaluated_is_an_outcome_and_the_next_one_works(
    evaluator: BackgroundEvaluator, tmp_path: Path
) -> None:
    broken = tmp_path / "model.zip"
    broken.write_bytes(b"no zip")
    evaluator._capture = lambda: broken
    evaluator.submit(make_model())
    outcome = evaluator.receive(PATIENCE_SECONDS)
    evaluator._capture = None
    process = find_process(evaluator)

    evaluator.submit(make_model())

    assert isinstance(outcome, str)
    assert "model.zip" in outcome or "zip" in outcome
    assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)
    assert find_process(evaluator) == process


@pytest.mark.usefixtures("forked")
def test_environments_that_cannot_be_made_are_an_outcome() -> None:
    def fail() -> VecEnv:
        raise RuntimeError("no such level")

    evaluator = BackgroundEvaluator(fail, EvaluationSettings())
    try:
        evaluator.submit(make_model())
        outcome = evaluator.receive(PATIENCE_SECONDS)
        assert isinstance(outcome, str)
        assert "RuntimeError: no such level" in outcome
    finally:
        evaluator.close()


def test_a_captured_model_is_read_from_where_it_was_put(evaluator: BackgroundEvaluator, tmp_path: Path) -> None:
    model, other = make_model(), make_model(learning_rate=1.0)
    with torch.no_grad():
        other.policy.action_net.weight.mul_(1000.0)
    path = tmp_path / "step_000000100" / "model.zip"
    path.parent.mkdir()
    other.save(path)
    evaluator._capture = lambda: path
    evaluator.submit(model)
    outcome = evaluator.receive(PATIENCE_SECONDS)
    evaluator._capture = None

    assert outcome == evaluate(other, make_cartpole(), 5, deterministic=False, seed=3)
    assert path.exists()


def make_endless() -> VecEnv:
    return make_vec_env("Pendulum-v1", 1, env_kwargs={"max_episode_steps": 10**9})


def make_pendulum_model() -> PPO:
    return PPO("MlpPolicy", "Pendulum-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class HeldEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Plays only once a file is there."""

    def __init__(self, env: gym.Env[Any, Any], release: Path) -> None:
        super().__init__(env)
        self.release = release

    def reset(self, **kwargs: Any) -> Any:
        while not self.release.exists():
            time.sleep(0.01)
        return self.env.reset(**kwargs)


@pytest.mark.usefixtures("forked")
def test_a_killed_evaluator_is_an_outcome_and_the_next_model_gets_a_new_one(tmp_path: Path) -> None:
    release = tmp_path / "release"
    evaluator = BackgroundEvaluator(
        lambda: make_vec_env("CartPole-v1", 1, wrapper_class=lambda env: HeldEnv(env, release)),
        EvaluationSettings(episodes=1),
    )
    try:
        evaluator.submit(make_model())
        first = find_process(evaluator)
        assert evaluator.receive(0.1) is None
        first.kill()
        assert evaluator.receive(PATIENCE_SECONDS) == "the evaluator died (exit code -9)"

        release.touch()
        evaluator.submit(make_model())
        second = find_process(evaluator)
        assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)

        # Killed between two models: nothing is lost, and nothing needs saying.
        second.kill()
        assert evaluator._worker is not None
        worker = evaluator._worker
        wait_until(lambda: not worker.is_alive)
        evaluator.submit(make_model())
        assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)
        assert len({first, second, find_process(evaluator)}) == 3
    finally:
        evaluator.close()


class RecordingEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Writes into a file whether its process has imported torch's compiler when an episode begins."""

    def __init__(self, env: gym.Env[Any, Any], path: Path) -> None:
        super().__init__(env)
        self.path = path

    def reset(self, **kwargs: Any) -> Any:
        self.path.write_text(str("torch._dynamo.config" in sys.modules))
        return self.env.reset(**kwargs)


@pytest.mark.usefixtures("forked")
def test_the_evaluator_does_not_import_the_compiler(tmp_path: Path) -> None:
    evaluator = BackgroundEvaluator(
        lambda: make_vec_env("CartPole-v1", 1, wrapper_class=lambda env: RecordingEnv(env, tmp_path / "found")),
        EvaluationSettings(episodes=1),
    )
    try:
        evaluator.submit(make_model())
        assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)
    finally:
        evaluator.close()
    assert (tmp_path / "found").read_text() == "False"


@pytest.mark.usefixtures("forked")
def test_closing_ends_the_process_at_once_and_takes_the_temporary_files_along() -> None:
    evaluator = BackgroundEvaluator(make_endless, EvaluationSettings(episodes=1))
    evaluator.submit(make_pendulum_model())
    process = find_process(evaluator)
    assert evaluator._directory is not None
    directory = Path(evaluator._directory.name)
    assert directory.exists()

    evaluator.close()
    evaluator.close()

    assert not process.is_running()
    assert not directory.exists()
    assert evaluator.receive() is None


def test_ctrl_c_does_not_reach_the_evaluator() -> None:
    evaluator = BackgroundEvaluator(make_cartpole, EvaluationSettings(episodes=2))
    try:
        for _ in ("while it starts", "while it plays"):
            evaluator.submit(make_model())
            process = find_process(evaluator)
            process.send_signal(signal.SIGINT)
            assert isinstance(evaluator.receive(PATIENCE_SECONDS), Evaluation)
            assert find_process(evaluator) == process
    finally:
        evaluator.close()


TRAINING = """
    import multiprocessing, sys
    from sb3_ext.evaluation.background import BackgroundEvaluator
    from sb3_ext.evaluation.evaluators import EvaluationSettings
    from sb3_ext.internals.torch import defer_compiler
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    multiprocessing.set_forkserver_preload(["stable_baselines3"])

    def make_env():
        endless = {"max_episode_steps": 10**9}
        vec_env_class = {"exit": DummyVecEnv, "kill": SubprocVecEnv}[sys.argv[1]]
        return make_vec_env("Pendulum-v1", 2, env_kwargs=endless, vec_env_cls=vec_env_class)

    if __name__ == "__main__":
        defer_compiler()  # whose import takes seconds
        evaluator = BackgroundEvaluator(make_env, EvaluationSettings(episodes=2))
        evaluator.submit(PPO("MlpPolicy", "Pendulum-v1", device="cpu", policy_kwargs={"net_arch": [8]}))
        print("submitted", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def training(tmp_path: Path, end: str) -> Iterator[subprocess.Popen[str]]:
    """A process whose evaluator never comes to an end; if it is to be killed, with environments in processes."""
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(TRAINING))
    process = subprocess.Popen(
        [sys.executable, script, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    descendants: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "submitted\n"
        wait_until(lambda: len(list_playing(process.pid)) >= {"exit": 1, "kill": 3}[end])
        descendants += list_playing(process.pid)
        yield process
    finally:
        for leftover in descendants:
            if leftover.is_running():
                leftover.kill()
        process.kill()
        process.communicate()


def list_playing(pid: int) -> list[psutil.Process]:
    """:return: the processes below this one that have loaded the environments"""
    below = psutil.Process(pid).children(recursive=True)
    commands = {child: read_command(child) for child in below}
    return [child for child, command in commands.items() if command and "resource_tracker" not in command]


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_the_evaluator_and_its_environments_end_with_the_training(training: subprocess.Popen[str], end: str) -> None:
    playing = list_playing(training.pid)

    if end == "kill":
        training.kill()
    else:
        assert training.stdin is not None
        training.stdin.write("\n")
        training.stdin.flush()

    _, alive = psutil.wait_procs(playing, timeout=PATIENCE_SECONDS)
    assert not alive
    assert training.wait(PATIENCE_SECONDS) == (-9 if end == "kill" else 0)
