"""Environments and workers that fail; see also ``tests/harness/worker_faults.py``."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import load_results

from faulty_env import FaultyEnv
from sb3_ext.errors import ConfigError
from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.workers.worker_errors import WorkerError, WorkerLostError
from sb3_ext.vec.workers.worker_split import count_cores, split_environments

UNCLOSED = """
import os, signal
from stable_baselines3.common.env_util import make_vec_env
from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.process_lifetime import preload_workers
from sb3_ext.vec.workers import worker_pool

if __name__ == "__main__":
    preload_workers()
    worker_pool._CLOSE_SECONDS = 0.5
    env = make_vec_env("CartPole-v1", 2, vec_env_cls=WorkerVecEnv, vec_env_kwargs={"num_workers": 2})
    os.kill(env.worker_pids[1], signal.SIGSTOP)
    print(*env.worker_pids, flush=True)
"""

MakeEnv = Callable[..., WorkerVecEnv]


@pytest.fixture
def make_env() -> Iterator[MakeEnv]:
    """2 workers of 2 environments, of which the one with the rank ``seed`` fails."""
    made: list[WorkerVecEnv] = []

    def make(fault: str, restarts: int = 0, timeout_seconds: float | None = 60.0, **arguments: Any) -> WorkerVecEnv:
        env_fn = partial(FaultyEnv, fault, **arguments)
        made.append(WorkerVecEnv([env_fn] * 4, 2, step_timeout_seconds=timeout_seconds, max_worker_restarts=restarts))
        made[-1].seed(0)
        return made[-1]

    yield make
    for env in made:
        env.close()


def step(env: WorkerVecEnv, times: int = 1) -> Any:
    for _ in range(times):
        result = env.step(np.zeros(env.num_envs, np.int64))
    return result


def test_an_exception_names_the_environment_with_its_traceback_and_the_worker_keeps_running(make_env: MakeEnv) -> None:
    env = make_env("raise", seed=3)
    env.reset()
    step(env, 2)
    with pytest.raises(
        WorkerError, match=r"environment 3 \(in worker 1\) failed: ArithmeticError: the engine is on fire"
    ):
        step(env)
    try:
        env.reset()
        step(env, 3)
    except WorkerError as error:
        text = "".join(traceback.format_exception(error))
        assert "in break_down" in text
        assert "faulty_env.py" in text
    env.reset()
    assert step(env)[0].tolist() == [[7.0, 0.0], [7.0, 1.0], [7.0, 2.0], [7.0, 3.0]]


@pytest.mark.parametrize(("where", "expected"), [("make", ArithmeticError), ("reset", WorkerError)])
def test_an_exception_before_the_first_step(make_env: MakeEnv, where: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match="the engine is on fire"):
        make_env("raise", where=where).reset()


def test_a_method_raises_what_it_raises_in_the_same_process(make_env: MakeEnv) -> None:
    env = make_env("raise", at_step=None)
    env.reset()
    with pytest.raises(ArithmeticError, match="the engine is on fire"):
        env.env_method("break_down", indices=2)
    with pytest.raises(AttributeError, match="no_such_thing"):
        env.get_attr("no_such_thing")
    assert step(env)[1].tolist() == [1.0] * 4


@pytest.mark.parametrize("where", ["make", "reset"])
def test_a_worker_that_dies_before_the_first_step_is_named(make_env: MakeEnv, where: str) -> None:
    with pytest.raises(WorkerLostError, match=r"worker 0 \(environments 0 to 1\) ended with exit status 3 while"):
        make_env("exit", where=where, restarts=2 if where == "reset" else 0).reset()


def test_a_lost_worker_is_named_in_every_later_error(make_env: MakeEnv) -> None:
    env = make_env("kill", seed=1)
    env.reset()
    for _ in range(2):
        with pytest.raises(WorkerLostError, match=r"worker 0 \(environments 0 to 1\) was killed by SIGKILL"):
            step(env, 3)


def test_a_worker_that_hangs_in_a_call_is_named_and_the_others_keep_working(make_env: MakeEnv) -> None:
    env = make_env("stop", at_step=None, timeout_seconds=1.0)
    env.reset()
    with pytest.raises(WorkerLostError, match=r"worker 1 .* hangs: it has been asked for env_method 'break_down'"):
        env.env_method("break_down", indices=[3])
    assert env.get_attr("steps", indices=[0, 1]) == [0, 0]


def test_a_replaced_worker_truncates_its_episodes(make_env: MakeEnv, tmp_path: Path) -> None:
    env = make_env("exit", restarts=1, seed=2, marker=str(tmp_path / "marker"))
    env.reset()
    before = step(env, 2)[0]
    observations, rewards, dones, infos = step(env)
    assert dones.tolist() == [False, False, True, True]
    assert rewards.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert [info["TimeLimit.truncated"] for info in infos] == dones.tolist()
    for rank in (2, 3):
        assert infos[rank]["terminal_observation"].tolist() == before[rank].tolist()
    assert observations.tolist() == [[3, 0], [3, 1], [0, 2 + 4], [0, 3 + 4]]  # other seeds than the first time
    observations, rewards, dones, infos = step(env)
    assert (observations[:, 0].tolist(), dones.any()) == ([4.0, 4.0, 1.0, 1.0], False)


def test_a_worker_that_is_lost_between_two_steps_is_replaced_too(make_env: MakeEnv) -> None:
    env = make_env("exit", restarts=3, at_step=None)
    env.reset()
    step(env)
    psutil.Process(env.worker_pids[1]).kill()
    assert env.get_attr("steps") == [1, 1, 0, 0]
    assert step(env)[2].tolist() == [False, False, True, True]
    psutil.Process(env.worker_pids[0]).kill()
    assert env.reset()[:, 0].tolist() == [0.0] * 4
    assert step(env)[2].tolist() == [False] * 4


def test_a_replaced_worker_appends_to_its_monitor_files(tmp_path: Path) -> None:
    env = make_vec_env(
        partial(gymnasium.make, "CartPole-v1", max_episode_steps=5),
        4,
        monitor_dir=str(tmp_path),
        vec_env_cls=WorkerVecEnv,
        vec_env_kwargs={"num_workers": 2, "max_worker_restarts": 1},
    )
    env.reset()
    step(env, 10)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    psutil.Process(env.worker_pids[0]).kill()
    step(env, 11)
    env.close()
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    for name, text in before.items():
        assert after[name].startswith(text)
        assert len(after[name].splitlines()) == len(text.splitlines()) + 2
    assert load_results(str(tmp_path))["t"].is_monotonic_increasing


def test_an_interrupted_step_leaves_the_environments_usable(make_env: MakeEnv) -> None:
    env = make_env("hang", seed=1, at_step=None)
    env.reset()
    env.step_async(np.zeros(4, np.int64))
    with pytest.raises(RuntimeError, match="between step_async"):
        env.get_attr("steps")
    assert env.reset()[:, 0].tolist() == [1.0] * 4
    assert step(env)[0][:, 0].tolist() == [2.0] * 4


@pytest.mark.parametrize("fault", ["hang", "stop", "spin"])
def test_close_is_bounded_whatever_a_worker_does(
    make_env: MakeEnv, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_ext.vec.workers.worker_pool._CLOSE_SECONDS", 0.5)
    env = make_env(fault, seed=1, at_step=1, timeout_seconds=None)
    processes = [psutil.Process(pid) for pid in env.worker_pids]
    env.reset()
    env.step_async(np.zeros(4, np.int64))
    env.close()
    assert not any(process.is_running() for process in processes)
    env.close()
    with pytest.raises(WorkerLostError, match="worker 0"):
        env.reset()


def test_python_ends_although_a_suspended_worker_was_not_closed(start_python: Callable[..., Any]) -> None:
    process = start_python(UNCLOSED)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, "")
    assert not any(psutil.pid_exists(int(pid)) for pid in stdout.split())


def test_the_error_of_a_script_without_a_main_guard_says_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    unguarded = "\n".join(line.removeprefix("    ") for line in UNCLOSED.splitlines() if "__main__" not in line)
    script.write_text(unguarded.replace('"num_workers": 2', '"num_workers": 1'))
    result = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert result.returncode == 1
    assert "if __name__ == '__main__'" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("sb3_ext.vec.workers.worker_errors.WorkerLostError: worker 0")


def test_garbage_collected_environments_end_their_workers(make_env: MakeEnv) -> None:
    env = make_vec_env("CartPole-v1", 2, vec_env_cls=WorkerVecEnv)
    processes = [psutil.Process(pid) for pid in env.unwrapped.worker_pids]
    del env
    psutil.wait_procs(processes, timeout=60)
    assert not any(process.is_running() for process in processes)


def test_the_error_names_what_cannot_be_sent_to_a_worker() -> None:
    with pytest.raises(ConfigError, match=r"env_fns\[0\]\.env_kwargs\['lock'\] \(_thread.lock\) cannot be sent"):
        make_vec_env("CartPole-v1", 2, env_kwargs={"lock": threading.Lock()}, vec_env_cls=WorkerVecEnv)
    env = CartPoleEnv()
    env.handle = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"env_fns\[0\]\.env\.handle \(_thread.lock\) cannot be sent"):
        WorkerVecEnv([lambda: env])


def test_the_same_environment_twice_is_refused() -> None:
    env = CartPoleEnv()
    with pytest.raises(ValueError, match="two functions returned the same environment"):
        WorkerVecEnv([lambda: env, lambda: env], 1)


def test_environments_with_other_spaces_are_refused() -> None:
    env_fns = [partial(gymnasium.make, "CartPole-v1"), partial(gymnasium.make, "Acrobot-v1")]
    with pytest.raises(ConfigError, match=r"environment 1 has the spaces .* but environment 0 has"):
        WorkerVecEnv(env_fns, 2)


def test_a_start_method_that_does_not_exist_is_refused() -> None:
    message = "cannot find context for 'thread': start_method must be one of fork, forkserver, spawn"
    with pytest.raises(ValueError, match=message):
        WorkerVecEnv([CartPoleEnv], start_method="thread")


def test_forking_a_process_with_threads_warns() -> None:
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    try:
        with pytest.warns(RuntimeWarning, match=r"start_method='fork' in a process of \d+ threads may deadlock"):
            WorkerVecEnv([CartPoleEnv], start_method="fork").close()
    finally:
        is_over.set()
        thread.join()


def test_forking_a_process_without_threads_does_not_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "num_threads", lambda process: 1)
    WorkerVecEnv([CartPoleEnv], start_method="fork").close()


@pytest.mark.filterwarnings("ignore:start_method='fork'")
def test_a_forked_worker_takes_environments_that_cannot_be_pickled() -> None:
    env = CartPoleEnv()
    env.handle = threading.Lock()  # type: ignore[attr-defined]
    workers = WorkerVecEnv([lambda: env], start_method="fork")
    assert workers.reset().shape == (1, 4)
    workers.close()


@pytest.mark.filterwarnings("ignore:start_method='fork'")
def test_a_forked_worker_that_dies_is_named_and_replaced() -> None:
    workers = WorkerVecEnv([CartPoleEnv] * 4, 2, start_method="fork", max_worker_restarts=1)
    workers.reset()
    for pid in workers.worker_pids[:1]:
        psutil.Process(pid).kill()
    assert step(workers)[2].tolist() == [True, True, False, False]
    psutil.Process(workers.worker_pids[1]).kill()
    with pytest.raises(WorkerLostError, match=r"worker 1 \(environments 2 to 3\) was killed by SIGKILL"):
        step(workers)
    workers.close()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((8, 2, None), 2), ((8, None, 2), 4), ((8, 4, 2), 4), ((1, None, None), 1), ((8, None, 8), 1)],
)
def test_how_many_workers(numbers: tuple[int, int | None, int | None], expected: int) -> None:
    assert split_environments(*numbers) == expected


def test_as_many_workers_as_cores_at_most() -> None:
    assert split_environments(4 * count_cores()) == count_cores()
    assert 7 % split_environments(7) == 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((8, 3, None), "8 environments cannot be divided among 3 workers; take 6 or 9 environments, or"),
        ((8, None, 3), "8 environments cannot be divided into workers of 3; take a multiple of 3 environments"),
        ((8, 4, 4), "4 workers x 4 environments in each are not num_envs = 8"),
        ((1, 4, None), "4 workers for 1 environment; each needs at least one"),
    ],
)
def test_numbers_that_contradict_each_other(numbers: tuple[int, int | None, int | None], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_environments(*numbers)


@pytest.mark.timeout(600)
def test_a_stopped_worker_is_noticed_replaced_and_ends_with_a_killed_parent(run_harness: Callable[..., str]) -> None:
    run_harness("worker_faults.py", "--repeats", "1", "--ranks", "1", "--faults", "stop", "--timeout-seconds", "1")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_fault_at_every_rank(run_harness: Callable[..., str]) -> None:
    run_harness("worker_faults.py", "--repeats", "3")
