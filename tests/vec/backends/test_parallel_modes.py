"""A ``parallel.mode`` from outside the package needs one class and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from stable_baselines3.common.vec_env import VecEnv

import sb3_ext
from sb3_ext.building.memory_estimate import EnvironmentSize, estimate_memory
from sb3_ext.building.training_environments import make_env
from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.config.json_schema import make_json_schema
from sb3_ext.errors import ConfigError
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.backends.parallel_modes import PARALLEL_MODES, load_backend_class
from sb3_ext.vec.closing import closing_environments

MODULE = '''
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.problems import Problem
from sb3_ext.vec import BatchBackend, SeparateBackend
from sb3_ext.vec.monitor_files import cut_monitor_file, get_monitor_file
from sb3_ext.vec.snapshots.layer_snapshots import freeze, list_layers, thaw

events = []


class ThreadVecEnv(DummyVecEnv):
    """Steps environments in threads, and saves and restores them itself."""

    def __init__(self, env_fns, num_threads, fails_at):
        super().__init__(env_fns)
        self.executor, self.fails_at, self.steps = ThreadPoolExecutor(num_threads), fails_at, 0

    def step_wait(self):
        self.steps += 1
        if self.steps == self.fails_at:
            raise ArithmeticError("a thread is lost")
        list(self.executor.map(self.step_one, range(self.num_envs)))
        return self._obs_from_buf(), self.buf_rews.copy(), self.buf_dones.copy(), [dict(i) for i in self.buf_infos]

    def step_one(self, index):
        env = self.envs[index]
        observation, self.buf_rews[index], terminated, truncated, info = env.step(self.actions[index])
        self.buf_dones[index] = terminated or truncated
        info["TimeLimit.truncated"] = truncated and not terminated
        if terminated or truncated:
            info["terminal_observation"] = observation
            observation, self.reset_infos[index] = env.reset()
        self.buf_infos[index] = info
        self._save_obs(index, observation)

    def state_dict(self):
        return {"envs": [freeze(list_layers(env)) for env in self.envs]}

    def load_state_dict(self, state):
        for env, layers in zip(self.envs, state["envs"], strict=True):
            thaw(list_layers(env), layers)

    def get_monitor_files(self):
        return [get_monitor_file(env) for env in self.envs]

    def cut_monitor_files(self, sizes_bytes):
        for env, size_bytes in zip(self.envs, sizes_bytes, strict=True):
            if size_bytes is not None:
                cut_monitor_file(env, size_bytes)

    def kill(self):
        events.append("kill")
        self.executor.shutdown(cancel_futures=True)

    def close(self):
        events.append("close")
        self.executor.shutdown()
        super().close()


class ThreadsBackend(SeparateBackend):
    """
    :param num_threads: that step the environments
    :param max_worker_restarts: a key of the section parallel
    :param fails_at: the step that fails
    """

    changeable = frozenset({"num_threads"})

    def __init__(
        self, num_envs: int, num_threads: int = 2, max_worker_restarts: int = 0, fails_at: int | None = None
    ) -> None:
        super().__init__(num_envs)
        if num_threads > num_envs:
            raise ValueError(f"{num_threads} threads for {num_envs} environments")
        self.num_threads, self.fails_at = num_threads, fails_at

    def combine(self, env_fns):
        return ThreadVecEnv(env_fns, self.num_threads, self.fails_at)

    @classmethod
    def find_problems(cls, env):
        if env.get("frame_stack"):
            yield Problem(("env", "frame_stack"), "threads cannot stack frames")

    def estimate_memory(self, env_bytes, noun="environments"):
        [environments] = super().estimate_memory(2 * env_bytes, noun)
        return [environments]

    @property
    def name(self):
        return f"{self.num_threads} threads"

    @classmethod
    def list_variants(cls, factory, num_envs, cores):
        return [{"num_threads": num_envs}]


class VectorVecEnv(VecEnv):
    """What Gymnasium vectorises itself. Its environments cannot be saved."""

    def __init__(self, vector):
        self.vector = vector
        super().__init__(vector.num_envs, vector.single_observation_space, vector.single_action_space)

    def reset(self):
        seeds = None if self._seeds[0] is None else list(self._seeds)
        self._reset_seeds()
        return self.vector.reset(seed=seeds)[0].copy()

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        observations, rewards, terminated, truncated, given = self.vector.step(self.actions)
        dones = terminated | truncated
        infos = [{"TimeLimit.truncated": bool(cut)} for cut in truncated & ~terminated]
        for index in np.flatnonzero(dones):
            infos[index]["terminal_observation"] = given["final_obs"][index]
        return observations.copy(), rewards.astype(np.float32), dones, infos

    def close(self):
        self.vector.close()

    def get_attr(self, attr_name, indices=None):
        return [getattr(self.vector, attr_name) for _ in self._get_indices(indices)]

    def has_attr(self, attr_name):
        return hasattr(self.vector, attr_name)

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False for _ in self._get_indices(indices)]


class VectorBackend(BatchBackend):
    def make_batch(self, factory, num_envs):
        mode = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        vector = gymnasium.make_vec(
            factory.env_id, num_envs, vectorization_mode="sync", vector_kwargs=mode, max_episode_steps=factory.max_steps
        )
        return VectorVecEnv(vector)


class NoBackend:
    pass
'''

THREADS, VECTOR = "outside_modes:ThreadsBackend", "outside_modes:VectorBackend"


@pytest.fixture(scope="module", autouse=True)
def outside_modes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    root = tmp_path_factory.mktemp("site-packages")
    (root / "outside_modes.py").write_text(MODULE)
    metadata = root / "outside_modes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside_modes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[sb3_ext.parallel_modes]\nthreads = {THREADS}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setattr(PARALLEL_MODES, "_found", {})  # names that were found are kept
        yield


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def events() -> list[str]:
    load_backend_class(THREADS)
    found: list[str] = sys.modules["outside_modes"].events
    found.clear()
    return found


def make_config(mode: str, total_steps: int = 64, **parallel: Any) -> dict[str, Any]:
    return {
        "seed": 3,
        "env": {"id": "CartPole-v1", "max_steps": 15},
        "parallel": {"mode": mode, "num_envs": 2, **parallel},
        "agent": {
            "id": "ppo",
            "threads": 1,
            "params": {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}},
        },
        "train": {"total_steps": total_steps, "callbacks": [{"type": "checkpoint", "params": {"interval": 32}}]},
        "eval": {"episodes": 2},
    }


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def get_weights(run: Any) -> dict[str, np.ndarray]:
    return {name: tensor.cpu().numpy() for name, tensor in run.latest.load().get_parameters()["policy"].items()}


def find_problem(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config({**make_config(THREADS), **sections})
    [line] = caught.value.problems
    return line.partition(": ")[2]


def test_it_trains_and_resumes_exactly_like_the_built_in_ones(events: list[str]) -> None:
    whole = sb3_ext.train(make_config("sequential", 128), run_dir="whole")
    sb3_ext.train(make_config(THREADS), run_dir="run")
    resumed = sb3_ext.resume("run", overrides=["train.total_steps=128"])

    assert resumed.latest.bundle.manifest.exact
    np.testing.assert_equal(get_weights(resumed), get_weights(whole))
    for name in ("0.monitor.csv", "1.monitor.csv"):
        rows = [(Path(run) / "monitor" / name).read_text().splitlines()[2:] for run in ("whole", "run")]
        assert [row.split(",")[:2] for row in rows[0]] == [row.split(",")[:2] for row in rows[1]]
    assert "kill" not in events
    assert events.count("close") == 6  # of each run: the training, and two of its self-test


def step_until_it_fails(env: VecEnv) -> None:
    env.reset()
    for _ in range(100):
        env.step(np.zeros(env.num_envs, dtype=int))


def test_it_is_killed_and_closed_after_an_exception(events: list[str]) -> None:
    config = load_config(make_config(THREADS, params={"fails_at": 3}))
    made = make_env(config, RunPaths(Path("run").absolute()))
    with pytest.raises(ArithmeticError), closing_environments(made) as env:
        step_until_it_fails(env)

    assert events == ["kill", "close"]


def test_a_batch_that_cannot_be_saved_resumes_approximately() -> None:
    run = sb3_ext.train(make_config(VECTOR), run_dir="run")
    resumed = sb3_ext.resume("run", overrides=["train.total_steps=128"])

    manifest = run.latest.bundle.manifest
    assert not manifest.exact
    assert manifest.exact_reason == (
        "the environments of VectorVecEnv cannot be saved; give it state_dict() and load_state_dict(state)"
    )
    assert resumed.record.step == 128
    assert resumed.metrics["last_evaluation"]["episodes"] == 2
    lengths = [line.split(",")[1] for line in Path("run/monitor/0.monitor.csv").read_text().splitlines()[2:]]
    assert lengths
    assert max(map(int, lengths)) <= 15


def test_the_resolved_configuration_has_its_parameters_and_a_resume_may_change_what_it_says() -> None:
    run = sb3_ext.train(make_config("threads", params={"num_threads": 1}), run_dir="run")
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())["parallel"]

    assert (resolved["mode"], resolved["params"]) == ("threads", {"num_threads": 1, "fails_at": None})
    steps = "train.total_steps=96"
    with pytest.raises(
        ConfigError, match=r"parallel\.params\.fails_at: None in the run, now 1000\n.*parallel\.params\.num_threads"
    ):
        sb3_ext.resume("run", overrides=[steps, "parallel.params.fails_at=1000"])
    assert sb3_ext.resume("run", overrides=[steps, "parallel.params.num_threads=2"]).record.step == 96


def test_advise_measures_it() -> None:
    Path("my.yaml").write_text(yaml.safe_dump(make_config("threads", params={"num_threads": 1})))
    result = run_command("advise", "my.yaml", "--seconds", "0.02")

    assert result.exit_code == 0, result.output
    rows = [line.split("  ")[0] for line in result.stdout.splitlines() if "×" in line]
    assert rows[0] == "sequential"
    assert rows[-2:] == ["2 threads", "1 threads"]  # of an installed package, and as configured


def test_it_estimates_its_memory() -> None:
    def estimate(mode: str) -> int:
        config = load_config(make_config(mode))
        with_spaces = make_env(config, RunPaths(Path("run").absolute()))
        size = EnvironmentSize(with_spaces.observation_space, with_spaces.action_space, 1000)
        with_spaces.close()
        return estimate_memory(config, size)[0].size_bytes

    assert estimate(THREADS) == 2 * estimate("sequential")


def test_a_mock_environment_stays_in_the_mode() -> None:
    result = run_command("train", "--mock-env", "--run-dir", "run", "--quiet", write_config(make_config(THREADS)))

    assert result.exit_code == 0, result.output
    assert yaml.safe_load(Path("run/config.resolved.yaml").read_text())["parallel"]["mode"] == THREADS


def write_config(config: dict[str, Any]) -> str:
    Path("my.yaml").write_text(yaml.safe_dump(config))
    return "my.yaml"


@pytest.mark.parametrize(
    ("parallel", "problem"),
    [
        (
            {"mode": "thread"},
            "parallel.mode: unknown parallel mode 'thread'; did you mean 'threads'?",
        ),
        (
            {"mode": "outside_modes:NoBackend"},
            "parallel.mode: 'outside_modes:NoBackend' is not a subclass of sb3_ext's EnvironmentBackend",
        ),
        ({"params": {"threads": 2}}, "parallel.params.threads: unknown parameter; did you mean 'num_threads'?"),
        ({"params": {"num_threads": "two"}}, "parallel.params.num_threads: expected an integer, found 'two'"),
        (
            {"params": {"max_worker_restarts": 1}},
            "parallel.params.max_worker_restarts: cannot be set here; it is parallel.max_worker_restarts",
        ),
        ({"params": {"num_threads": 3}}, "parallel: 3 threads for 2 environments"),
        (
            {"num_workers": 2},
            f"parallel: num_workers is for mode workers or ray, but the mode is {THREADS}; set parallel.mode: work",
        ),
        (
            {"mode": "auto", "params": {"num_threads": 2}},
            "parallel.params: is for a certain mode, but",
        ),
        ({"mode": "sequential", "params": {"num_threads": 2}}, "parallel.params.num_threads: unknown parameter; none"),
    ],
)
def test_mistakes_in_its_settings_are_found(parallel: dict[str, Any], problem: str) -> None:
    assert find_problem(parallel={"mode": THREADS, "num_envs": 2, **parallel}).startswith(problem)


def test_environments_that_it_does_not_support_are_refused() -> None:
    assert find_problem(env={"id": "CartPole-v1", "frame_stack": 2}) == "env.frame_stack: threads cannot stack frames"


def test_it_takes_keys_of_the_section() -> None:
    assert load_config(make_config(THREADS, max_worker_restarts=3)).parallel.max_worker_restarts == 3


def test_it_is_in_the_json_schema() -> None:
    mode = make_json_schema()["$defs"]["ParallelConfig"]["properties"]["mode"]
    built_in_and_installed, own = mode["anyOf"]

    assert "; subproc: step each environment in a process of its own; workers: step" in mode["description"]
    assert built_in_and_installed == {
        "enum": ["auto", "sequential", "subproc", "workers", "native", "ray", "gymnasium", "threads"]
    }
    assert own == {"pattern": "^[^:]+:[^:]+$"}
