"""Training from a configuration, and the content of the run directory at every kind of end."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from click.testing import CliRunner
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import sb3_ext
from process_commands import list_workers
from sb3_ext import ConfigError, RunError, train
from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.cli import cli
from sb3_ext.config.callback_types import CALLBACK_TYPES, STOCK_MODULE
from sb3_ext.reports.comparison import ComparedRun
from sb3_ext.runs.run import Run
from sb3_ext.training.loop import train_run
from sb3_ext.training.start import start_run

TINY_NETWORK = {"net_arch": [8]}
SMALL: dict[str, dict[str, Any]] = {
    "on_policy": {"n_steps": 16},
    "off_policy": {"learning_starts": 20, "batch_size": 8, "buffer_size": 500},
}


def make_config(algorithm: str = "ppo", env: str | dict[str, Any] = "CartPole-v1", **changes: Any) -> dict[str, Any]:
    kind = "off_policy" if ALGORITHMS[algorithm].is_off_policy else "on_policy"
    params = {"n_delta": 2, "n_eval_episodes": 1} if algorithm == "ars" else dict(SMALL[kind])
    if algorithm in ("ppo", "maskable_ppo", "recurrent_ppo", "trpo"):
        params["batch_size"] = 8
    if algorithm != "ars":
        params["policy_kwargs"] = TINY_NETWORK
    config: dict[str, Any] = {
        "seed": 1,
        "env": {"id": env, "max_steps": 20} if isinstance(env, str) else env,
        "agent": {"id": algorithm, "threads": 1, "params": params},
        "train": {"total_steps": 64},
        "eval": {"episodes": 2},
    }
    for section, values in changes.items():
        config[section] = {**config[section], **values} if isinstance(config.get(section), dict) else values
    return config


class RaisingCallback(BaseCallback):
    """Calls a function at a step."""

    def __init__(self, step: int, function: Callable[[], object]) -> None:
        super().__init__()
        self._step = step
        self._function = function

    def _on_step(self) -> bool:
        if self.num_timesteps == self._step:
            self._function()
        return True


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


TOY_ENVS = """
import gymnasium, numpy as np
from gymnasium import spaces
from sb3_ext_envs.mock import MockEnv

IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
DICT = spaces.Dict({"speed": spaces.Box(-1.0, 1.0, (2,)), "place": spaces.Discrete(3)})
GOAL = {"size": 4}

class Broken(MockEnv):
    def step(self, action):
        if self._step == 5:
            raise RuntimeError("the simulator is gone")
        return super().step(action)

for name, params in {
    "Masked-v0": {"has_action_masks": True},
    "Image-v0": {"observation_space": IMAGE},
    "Dict-v0": {"observation_space": DICT},
    "Tuple-v0": {"observation_space": spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)])},
    "Text-v0": {"observation_space": spaces.Dict({"place": spaces.Discrete(3), "mission": spaces.Text(9)})},
}.items():
    gymnasium.register(name, entry_point=MockEnv, kwargs=params)
gymnasium.register("Broken-v0", entry_point=Broken)
gymnasium.register("Goal-v0", entry_point="stable_baselines3.common.envs:BitFlippingEnv", kwargs={"n_bits": 4})
"""


@pytest.fixture(autouse=True)
def toy_envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments of a user's own, in a module of theirs."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "toy_envs.py").write_text(TOY_ENVS)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains(algorithm: str, tmp_path: Path) -> None:
    spec = ALGORITHMS[algorithm]
    env = "CartPole-v1" if "Discrete" in spec.action_spaces else "Pendulum-v1"
    run = train(make_config(algorithm, "toy_envs:Masked-v0" if spec.needs_action_masks else env), run_dir="run")
    assert (run.status, run.record.stop_reason, run.record.phase) == ("completed", "total_steps", "finished")
    assert run.record.step >= 64
    assert spec.load_class().load(run.paths.latest_model).num_timesteps == run.record.step
    assert len(run.metrics["last_evaluation"]["returns"]) == 2


@pytest.mark.parametrize(
    ("algorithm", "env", "changes", "policy"),
    [
        ("ppo", "toy_envs:Image-v0", {}, "CnnPolicy"),
        ("ppo", {"id": "toy_envs:Dict-v0", "normalize": True}, {}, "MultiInputPolicy"),
        ("ppo", "toy_envs:Tuple-v0", {"parallel": {"mode": "workers", "num_envs": 2}}, "MultiInputPolicy"),
        (
            "dqn",
            "toy_envs:Goal-v0",
            {
                "agent": {
                    "params": {
                        **SMALL["off_policy"],
                        "replay_buffer_class": "HerReplayBuffer",
                        "policy_kwargs": TINY_NETWORK,
                    }
                }
            },
            "MultiInputPolicy",
        ),
        ("ppo", "CartPole-v1", {"parallel": {"mode": "subproc", "num_envs": 2}}, "MlpPolicy"),
        (
            "sac",
            {
                "id": "Pendulum-v1",
                "max_steps": 20,
                "normalize": True,
                "frame_stack": 2,
                "wrappers": [
                    "gymnasium.wrappers.TimeAwareObservation",
                    {"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 10}},
                ],
            },
            {},
            "MlpPolicy",
        ),
        ("recurrent_ppo", {"id": "CartPole-v1", "normalize": {"norm_obs": False}}, {}, "MlpLstmPolicy"),
    ],
)
def test_every_kind_of_environment_trains(algorithm: str, env: Any, changes: dict[str, Any], policy: str) -> None:
    config = make_config(algorithm, env if isinstance(env, dict) else {"id": env}, **changes)
    if policy == "CnnPolicy":
        config["agent"]["params"]["policy_kwargs"] = {"features_extractor_kwargs": {"features_dim": 8}}
    run = train(config, run_dir="run")
    assert run.status == "completed"
    assert yaml.safe_load(run.paths.resolved_config.read_text())["agent"]["policy"] == policy
    assert run.metrics["last_evaluation"]["episodes"] == 2


def test_the_files_of_a_run() -> None:
    run = train(make_config("dqn"), run_dir="run", overrides=["agent.params.gamma=0.9"], command="me --now")
    left = {str(path.relative_to(run.paths.root)) for path in run.paths.root.rglob("*") if path.is_file()}
    [events] = [name for name in left if name.startswith("tensorboard/events")]
    assert {name for name in left if not name.startswith("checkpoints/")} - {events} == {
        "benchmark_metrics.json",
        "config.resolved.yaml",
        "config.yaml",
        "evaluations.jsonl",
        "lock",
        "logs/training.log",
        "meta.json",
        "metrics.json",
        "monitor/0.monitor.csv",
        "requirements.txt",
        "status.json",
        "training_curves.png",
    }
    assert {path.name for path in run.paths.checkpoints.iterdir()} == {"best", "latest", "step_000000064"}
    meta = read_json(run.paths.meta)
    assert (meta["command"], meta["overrides"], meta["seed"]) == ("me --now", {"agent.params.gamma": 0.9}, 1)
    assert meta["device"] in ("cpu", "cuda")
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())
    assert (resolved["agent"]["params"]["gamma"], resolved["agent"]["params"]["tau"]) == (0.9, 1.0)
    assert "gamma" not in run.config_text


def test_metrics_hold_every_episode_and_the_losses() -> None:
    run = train(make_config("dqn", train={"total_steps": 400, "log_every_episodes": 2}), run_dir="run")
    with (run.paths.monitor / "0.monitor.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    episodes, training = run.metrics["episodes"], run.metrics["training"]
    assert episodes["length"] == [int(row["l"]) for row in rows]
    assert episodes["return"] == pytest.approx([float(row["r"]) for row in rows])
    assert run.record.episode == len(rows)
    for name in ("train/loss", "train/td_error", "train/mean_q", "train/learning_rate", "rollout/exploration_rate"):
        assert any(value is not None for value in training[name]), name
    assert len(training["step"]) == len(training["train/loss"]) > 3


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"total_episodes": 3}, "total_episodes"),
        ({"duration": "1s"}, "duration"),
        ({"total_steps": 100, "total_episodes": 1000}, "total_steps"),
    ],
)
def test_the_first_bound_reached_ends_the_run(bounds: dict[str, Any], reason: str) -> None:
    config = make_config()
    config["train"] = bounds
    run = train(config, run_dir="run")
    assert (run.status, run.record.stop_reason) == ("completed", reason)
    assert run.record.total_steps == bounds.get("total_steps")
    assert (run.record.share, run.record.nearest_total_steps) == (1.0, bounds.get("total_steps"))
    assert run.paths.latest_model.exists()
    assert "last_evaluation" in run.metrics
    if reason == "total_episodes":
        assert run.record.episode == 3


def test_callbacks_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("modules/my_callbacks.py").write_text(
        "from stable_baselines3.common.callbacks import BaseCallback\n"
        "class Mine(BaseCallback):\n"
        "    def __init__(self, path):\n"
        "        super().__init__()\n"
        "        self.path = path\n"
        "    def _on_step(self):\n"
        "        with open(self.path, 'a') as file:\n"
        "            file.write('.')\n"
        "        return True\n"
    )
    entries = [
        {"type": "my_callbacks:Mine", "params": {"path": "on"}},
        {"type": "my_callbacks:Mine", "params": {"path": "off"}, "enabled": False},
        {"type": "epsilon_decay", "params": {"every": "step", "decay": 0.9, "min": 0.5}},
        {"type": "lr_decay", "params": {"interval_steps": 10, "decay_factor": 0.5}},
    ]
    run = train(make_config("dqn", train={"total_steps": 100, "callbacks": entries}), run_dir="run")
    assert len(Path("on").read_text()) == run.record.step
    assert not Path("off").exists()
    assert run.record.epsilon == 0.5
    assert run.metrics["training"]["train/learning_rate"][-1] == 1e-6


def test_timings_are_tracked_when_asked_for() -> None:
    run = train(make_config("dqn", train={"track_timings": True}), run_dir="run")
    assert {"starting", "collecting", "updating", "evaluating", "saving"} <= run.metrics["timings_seconds"].keys()


def test_deterministic_collection() -> None:
    run = train(make_config("dqn", train={"deterministic": True}), run_dir="run")
    assert run.record.epsilon == 0


def test_early_stopping() -> None:
    stopping = {"target": {"return": 1, "window": 3, "patience": 2}}
    run = train(make_config(train={"total_steps": 10_000}, early_stopping=stopping), run_dir="run")
    assert (run.status, run.record.stop_reason, run.record.episode) == ("completed", "converged", 4)
    stopping = {"plateau": {"by": "evaluation", "patience": 2, "min_delta": 1000}}
    config = make_config(train={"total_steps": 10_000}, early_stopping=stopping, eval={"every_steps": 32})
    run = train(config, run_dir="other")
    assert (run.status, run.record.stop_reason) == ("completed", "plateau")
    assert (len(run.paths.evaluations.read_text().splitlines()), run.record.step) == (3, 96)


def test_every_callback_that_has_a_name_can_be_part_of_a_run() -> None:
    params: dict[str, dict[str, Any]] = {
        "convergence_stop": {"target": 1e9},
        "heartbeat": {"status": "beat.json"},
        "lr_decay": {"interval_steps": 10},
        "plateau_stop": {"patience": 10_000},
        "stop_file": {"path": "stop_all"},
    }
    entries = [{"type": name, "params": params.pop(name, {})} for name in CALLBACK_TYPES]
    assert params == {}
    entries += [{"type": f"{STOCK_MODULE}:LogEveryNTimesteps", "params": {"n_steps": 8}}]
    run = train(make_config("dqn", train={"total_steps": 40, "callbacks": entries}), run_dir="run")
    assert run.record.stop_reason == "total_steps"
    beat = json.loads(Path("beat.json").read_text())
    assert (beat["step"], beat["total_steps"]) == (40, 40)
    assert run.record.epsilon == pytest.approx(0.9995**40)


def test_a_configured_stop_file_stops_the_run_between_two_rollouts() -> None:
    Path("stop_all").touch()
    entry = {"type": "stop_file", "params": {"path": "stop_all"}}
    run = train(make_config("ppo", train={"total_steps": 64, "callbacks": [entry]}), run_dir="run")
    assert (run.status, run.record.stop_reason) == ("stopped", "stop file")
    assert Path("stop_all").exists()
    assert run.latest.step % SMALL["on_policy"]["n_steps"] == 0


def test_mock_environment_has_the_same_spaces() -> None:
    config = make_config("sac", {"id": "Pendulum-v1", "params": {"g": 9.0}})
    run = train_run(start_run(config, "run", mock=True))
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())["env"]
    assert (resolved["id"], resolved["params"]["like"]) == ("sb3_ext/Mock-v0", "Pendulum-v1")
    assert run.status == "completed"


@pytest.mark.parametrize("is_mock", [False, True])
def test_a_run_on_noise_is_marked_everywhere(is_mock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(sys, "argv", ["sb3-ext"])
    monkeypatch.setattr("sb3_ext.reports.curves.plot_curves", lambda *_, title, **__: titles.append(title))
    Path("my.yaml").write_text(yaml.safe_dump(make_config("a2c", train={"total_steps": 16}, eval={"episodes": 1})))
    flags = ["--mock-env"] if is_mock else []
    trained = CliRunner().invoke(cli, ["train", "my.yaml", "--run-dir", "runs/mine", *flags])
    assert trained.exit_code == 0, trained.output
    run = Run(Path("runs/mine"))
    assert (run.record.mock, json.loads(run.paths.status.read_text())["mock"]) == (is_mock, is_mock)
    title = "mine (mock environment)" if is_mock else "mine"
    assert titles == [title]  # drawn once, since that takes a second
    texts = {
        "log": run.paths.log.read_text(),
        "summary": trained.stdout,
        "console": trained.stderr,
        "list": CliRunner().invoke(cli, ["runs", "list", "--all"]).stdout,
        "show": CliRunner().invoke(cli, ["runs", "show", "mine"]).stdout,
        "configuration": run.paths.resolved_config.read_text(),
        "title": run.title,
        "comparison": ComparedRun.read(run).name,
    }
    assert {name for name, text in texts.items() if "mock" in text.lower()} == (set(texts) if is_mock else set())


def test_episodes_are_truncated() -> None:
    run = train(make_config("ppo", {"id": "Pendulum-v1", "max_steps": 7}), run_dir="run")
    assert set(run.metrics["episodes"]["length"]) == {7}


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "ars"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_stops_the_run_and_the_model_is_saved(algorithm: str, name: str) -> None:
    number = getattr(signal, name)
    before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    callback = RaisingCallback(30, lambda: os.kill(os.getpid(), number))
    run = train(make_config(algorithm, train={"total_steps": 100_000}), run_dir="run", callback=callback)
    assert (run.status, run.record.stop_reason) == ("stopped", f"signal {name}")
    assert run.record.step < 100
    assert run.paths.latest_model.exists()
    assert "last_evaluation" not in run.metrics
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == before


def test_a_stop_file_stops_the_run_even_if_a_signal_follows() -> None:
    def stop() -> None:
        Path("run/stop").touch()
        os.kill(os.getpid(), signal.SIGTERM)

    run = train(make_config(train={"total_steps": 10**6}), run_dir="run", callback=RaisingCallback(30, stop))
    assert (run.status, run.record.stop_reason) == ("stopped", "stop file")
    assert not run.paths.stop.exists()


def test_an_exception_leaves_a_failed_run_with_a_model_and_is_raised_again() -> None:
    config = make_config("ppo", {"id": "toy_envs:Broken-v0"})
    with pytest.raises(RuntimeError, match="the simulator is gone"):
        train(config, run_dir="run")
    run = sb3_ext.load_run("run")
    assert run.status == "failed"
    assert run.record.stop_reason is not None
    assert run.record.stop_reason.startswith("error: RuntimeError: the simulator is gone (")
    assert "toy_envs.py:" in run.record.stop_reason
    assert "Traceback" in run.paths.log.read_text()
    PPO.load(run.paths.latest_model)


def test_a_user_callback_that_stops_training_is_named_as_the_reason() -> None:
    class Enough(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < 20

    run = train(make_config(), run_dir="run", callback=[Enough()])
    assert (run.status, run.record.stop_reason) == ("stopped", "callback")


def test_a_function_of_one_dict_is_a_callback() -> None:
    seen: list[dict[str, Any]] = []
    train(make_config(), run_dir="run", callback=seen.append)
    assert [metrics["episode"] for metrics in seen] == list(range(1, len(seen) + 1))
    assert {"avg_reward", "avg_length", "fps"} <= seen[0]["step_metrics"].keys()


def test_the_same_seed_gives_the_same_weights() -> None:
    models = [train(make_config(), run_dir=name).paths.latest_model for name in ("a", "b")]
    first, second = (PPO.load(model).get_parameters()["policy"] for model in models)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (make_config("dqn", "Pendulum-v1"), "dqn acts in Discrete spaces"),
        (make_config("ppo", {"id": "toy_envs:Text-v0"}), "env.id: part 'mission' of the observation is Text"),
        (make_config("maskable_ppo"), "action_masks"),
        (
            make_config("sac", "Pendulum-v1", agent={"params": {"replay_buffer_class": "HerReplayBuffer"}}),
            "cannot make sac with these parameters",
        ),
        (
            make_config("ppo", {"id": "CartPole-v1", "wrappers": ["gymnasium.wrappers.GrayscaleObservation"]}),
            "env.wrappers.0: gymnasium.wrappers.GrayscaleObservation cannot be put around the environment: ",
        ),
        (make_config("ppo", agent={"device": "cuda:99"}), "agent.device: found 'cuda:99', but torch has"),
    ],
)
def test_a_refused_configuration_leaves_no_directory(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(config, run_dir="run")
    assert not Path("run").exists()


def test_an_existing_directory_is_never_touched() -> None:
    Path("run").mkdir()
    Path("run/precious").write_text("x")
    with pytest.raises(RunError, match="not empty"):
        train(make_config(), run_dir="run")
    assert [path.name for path in Path("run").iterdir()] == ["precious"]


def test_runs_are_named_after_their_configuration(tmp_path: Path) -> None:
    (tmp_path / "my-config.yaml").write_text(yaml.safe_dump(make_config()))
    names = [train(config).name for config in ("my-config.yaml", "my-config.yaml", make_config())]
    assert [name.partition("_20")[0] for name in names] == ["my-config", "my-config", "CartPole-v1_ppo"]
    assert len(set(names)) == 3


def test_all_resources_of_a_run_are_closed() -> None:
    me = psutil.Process()
    train(make_config(parallel={"mode": "subproc", "num_envs": 2}), run_dir="run")
    assert [file.path for file in me.open_files() if "/run/" in file.path] == []
    assert list_workers() == []
