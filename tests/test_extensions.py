"""Extensions of other packages, as entry points and as ``module:Name``, without a change in this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import sb3_ext
from sb3_ext.algorithms.algorithm_registry import ALGORITHM_NAMES, Algorithm, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters, find_parameter_problems
from sb3_ext.checkpoints.bundle.bundle import open_bundle
from sb3_ext.cli import cli
from sb3_ext.config.callback_types import CALLBACKS
from sb3_ext.config.json_schema import make_json_schema
from sb3_ext.errors import ConfigError
from sb3_ext.extensions import Registry
from sb3_ext.selfplay.games.game_registry import GAMES
from sb3_ext.selfplay.opponents.opponent_registry import OPPONENTS
from sb3_ext.tracking.tracker_registry import TRACKERS
from sb3_ext.tuning.space import load_default_space
from sb3_ext.vec.backends.parallel_modes import PARALLEL_MODES

MODULE = """
from pathlib import Path

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from sb3_ext.algorithms.masked_dqn import MaskedDQN
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.tracking import Tracker
from sb3_ext.vec.backends.sequential import SequentialBackend


class SmoothPPO(PPO):
    \"\"\"Its constructor names one argument of its own, and passes the others on.\"\"\"

    def __init__(self, *args, smoothing: float = 0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.smoothing = smoothing


class OwnDQN(DQN):
    pass


class OwnMaskedDQN(MaskedDQN):
    pass


class OwnMaskablePPO(MaskablePPO):
    pass


class OnPolicy(OnPolicyAlgorithm):
    pass


class OffPolicy(OffPolicyAlgorithm):
    def __init__(self, policy, env, device, seed, tau: float = 5.0):
        pass


class Base(BaseAlgorithm):
    pass


class TwinBackend(SequentialBackend):
    @property
    def name(self):
        return "twin"


class TraceCallback(BaseCallback):
    \"\"\"Write the number of steps to a file at the end.\"\"\"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._path.write_text(str(self.num_timesteps))


class Connect3(Connect4):
    def __init__(self, num_boards: int, cols: int = 4) -> None:
        super().__init__(num_boards, rows=3, cols=cols, in_a_row=3)


class LastMove:
    def __init__(self, seed: int | None, hint: str = "") -> None:
        self.name, self.seed, self.hint = "last_move", seed, hint

    def act(self, game, boards):
        legal = game.find_legal(boards)
        return legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class JournalTracker(Tracker):
    \"\"\"Write a line for each call to a file.\"\"\"

    def __init__(self, path: str, broken: str = "") -> None:
        self._path, self._broken = Path(path), broken

    def start(self, run):
        self._write("start", run.id, run.step)
        return "id-1"

    def log_parameters(self, parameters):
        self._write("parameters", parameters["agent"]["id"])

    def log_metrics(self, values, step, time_seconds):
        self._write("metrics", step, *values)

    def log_artifact(self, path, name):
        self._write("artifact", name, path.stat().st_size > 0)

    def finish(self, status, summary):
        self._write("finish", status)

    def _write(self, call, *arguments):
        if call == self._broken:
            raise OSError("the journal is full")
        with self._path.open("a") as file:
            print(call, *arguments, file=file)


class NoOpponent:
    name = "no_opponent"

    def act(self, game, boards):
        return np.zeros(len(boards))


class OutdatedOpponent(NoOpponent):
    def get_state(self):
        return None

    def set_state(self, state):
        pass
"""

ENTRY_POINTS = """
[sb3_ext.algorithms]
smooth_ppo = outside_package.parts:SmoothPPO
own_maskable_ppo = outside_package.parts:OwnMaskablePPO

[sb3_ext.callbacks]
trace = outside_package.parts:TraceCallback
lr_decay = outside_package.parts:TraceCallback
broken = outside_package.parts:NoSuchCallback

[sb3_ext.games]
connect3 = outside_package.parts:Connect3

[sb3_ext.parallel_modes]
twin = outside_package.parts:TwinBackend

[sb3_ext.opponents]
last_move = outside_package.parts:LastMove

[sb3_ext.trackers]
journal = outside_package.parts:JournalTracker
"""

GAME_CONFIG: dict[str, Any] = {
    "seed": 1,
    "game": {"id": "connect3", "params": {"cols": 5}},
    "parallel": {"num_envs": 2},
    "agent": {
        "id": "own_maskable_ppo",
        "threads": 1,
        "params": {"n_steps": 8, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {
        "total_steps": 32,
        "callbacks": [{"type": "trace", "params": {"path": "trace.txt"}}],
        "opponent_sampler": {"type": "last_move", "params": {"hint": "right"}},
    },
    "eval": {"episodes": 2},
}


ENV_CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20},
    "parallel": {"mode": "twin"},
    "agent": {
        "id": "smooth_ppo",
        "threads": 1,
        "params": {
            "n_steps": 16,
            "batch_size": 8,
            "learning_rate": "linear(1e-3)",
            "smoothing": 0.25,
            "policy_kwargs": {"net_arch": [8], "activation_fn": "ReLU"},
        },
    },
    "train": {"total_steps": 32, "callbacks": [{"type": "checkpoint", "params": {"interval": 16}}]},
    "eval": {"episodes": 2},
}


def write_package(root: Path, name: str, entry_points: str) -> None:
    """What an installer would leave in ``site-packages``."""
    directory = root / f"{name}-1.0.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (directory / "entry_points.txt").write_text(entry_points)


@pytest.fixture(scope="module", autouse=True)
def outside_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    root = tmp_path_factory.mktemp("site-packages")
    (root / "outside_package").mkdir()
    (root / "outside_package" / "__init__.py").touch()
    (root / "outside_package" / "parts.py").write_text(MODULE)
    write_package(root, "outside_package", ENTRY_POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def check_config(config: dict[str, Any]) -> str:
    Path("my.yaml").write_text(yaml.safe_dump(config))
    return run_command("config", "check", "my.yaml").stderr


def test_an_algorithm_and_a_parallel_mode_of_an_installed_package_train_resume_and_play() -> None:
    Path("my.yaml").write_text(yaml.safe_dump(ENV_CONFIG))
    trained = run_command("train", "my.yaml", "--run-dir", "run", "--quiet")
    resumed = run_command("train", "--resume", "run", "--total-steps", "48", "--quiet")

    assert (trained.exit_code, resumed.exit_code) == (0, 0), trained.output + resumed.output
    run = sb3_ext.load_run("run")
    model: Any = run.latest.load(trust=True)
    assert (type(model).__name__, model.num_timesteps, model.smoothing) == ("SmoothPPO", 48, 0.25)
    assert run.evaluate(episodes=1, trust=True).mean_return > 0
    refused, played = run_command("enjoy", "run"), run_command("enjoy", "run", "--episodes", "1", "--trust")
    assert refused.exit_code == 2
    assert "needs its own code (algorithm outside_package.parts.SmoothPPO): load it with trust" in refused.stderr
    assert played.exit_code == 0, played.output


def test_a_game_an_opponent_and_a_callback_of_an_installed_package_train() -> None:
    Path("my.yaml").write_text(yaml.safe_dump(GAME_CONFIG))
    result = run_command("train", "my.yaml", "--run-dir", "run", "--quiet")

    assert result.exit_code == 0, result.output
    assert Path("trace.txt").read_text() == "32"
    monitor = Path("run/monitor/0.monitor.csv").read_text().splitlines()
    assert {line.split(",")[3] for line in monitor[2:]} == {"last_move"}
    assert sb3_ext.load(sb3_ext.load_run("run").latest.path, trust=True).observation_space.shape == (2, 3, 5)


def test_a_tracker_of_an_installed_package_logs_a_run_and_continues_it() -> None:
    config = {**ENV_CONFIG, "tracking": {"journal": {"path": "journal.txt"}}}
    sb3_ext.train(config, run_dir="run")
    first = Path("journal.txt").read_text().splitlines()
    sb3_ext.resume("run", overrides=["train.total_steps=48"])
    second = Path("journal.txt").read_text().splitlines()[len(first) :]

    assert Path("run/tracking/journal.jsonl").exists()
    assert first[:2] == ["start None None", "parameters smooth_ppo"]
    assert any(line.startswith("metrics 32 ") and "eval/mean_return" in line for line in first)
    assert any(line.startswith("metrics 32 ") and "train/loss" in line for line in first)
    assert any("episode/return_mean" in line for line in first)
    entries = open_bundle(sb3_ext.load_run("run").latest.path).read_state().values["callbacks"]
    assert {"journal": "id-1"} in [(entry["state"] or {}).get("ids") for entry in entries]
    assert not any("time/total_timesteps" in line for line in first)  # excluded from TensorBoard, so from all
    assert {"artifact config.resolved.yaml True", "artifact metrics.json True"} <= set(first)
    assert first[-1] == "finish completed"
    assert second[:2] == ["start id-1 32", "parameters smooth_ppo"]
    assert {int(line.split()[1]) for line in second if line.startswith("metrics")} == {48}
    assert second[-1] == "finish completed"
    assert next(Path("run/tensorboard").iterdir()).name.startswith("events")


@pytest.mark.parametrize("call", ["start", "metrics", "artifact", "finish"])
def test_a_failing_tracker_causes_only_a_warning(
    call: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_ext.tracking.delivery._FIRST_RETRY_SECONDS", 0.01)
    config = {**ENV_CONFIG, "tracking": {"journal": {"path": "journal.txt", "broken": call}}}
    run = sb3_ext.train(config, run_dir="run")

    assert run.status == "completed"
    warning, *others = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("tracker journal: OSError: the journal is full")
    assert "values not sent stay in" in warning
    if others:  # the last attempts to send the file have failed
        assert call == "artifact"
        assert ["config.yaml is left out" in other for other in others] == [True]


def test_a_mistake_found_by_a_tracker_leaves_no_run_directory() -> None:
    for call, message in (("__init__", "the path is wrong"), ("start", "no permission")):
        with pytest.MonkeyPatch.context() as patch:
            error = ValueError(message) if call == "__init__" else sb3_ext.Sb3ExtError(message)

            def refuse(*_: Any, error: Exception = error, **__: Any) -> None:
                raise error

            patch.setattr(f"outside_package.parts.JournalTracker.{call}", refuse)
            Path("my.yaml").write_text(yaml.safe_dump({**ENV_CONFIG, "tracking": {"journal": {}}}))
            result = run_command("train", "my.yaml", "--run-dir", "run", "--set", "tracking.journal={path: x}")

        assert result.exit_code == 2
        assert message in result.stderr
        assert not Path("run").exists()


def test_installed_names_and_module_names_mean_the_same() -> None:
    for registry, name, path in (
        (ALGORITHM_NAMES, "smooth_ppo", "outside_package.parts:SmoothPPO"),
        (CALLBACKS, "trace", "outside_package.parts:TraceCallback"),
        (GAMES, "connect3", "outside_package.parts:Connect3"),
        (OPPONENTS, "last_move", "outside_package.parts:LastMove"),
        (TRACKERS, "journal", "outside_package.parts:JournalTracker"),
        (PARALLEL_MODES, "twin", "outside_package.parts:TwinBackend"),
    ):
        assert registry.load(name) is registry.load(path)
        assert name in registry


def describe(name: str) -> Algorithm:
    return get_algorithm(f"outside_package.parts:{name}")


def test_an_algorithm_has_the_properties_of_its_built_in_base_class() -> None:
    ppo, dqn, masked = describe("SmoothPPO"), describe("OwnDQN"), describe("OwnMaskedDQN")

    assert (ppo.id, ppo.base, ppo.action_spaces) == (
        "outside_package.parts:SmoothPPO",
        "ppo",
        ("Box", "Discrete", "MultiDiscrete", "MultiBinary"),
    )
    assert (dqn.base, dqn.is_off_policy, dqn.has_epsilon, dqn.action_spaces) == ("dqn", True, True, ("Discrete",))
    assert describe("OwnMaskablePPO").needs_action_masks
    assert (masked.base, masked.has_epsilon, masked.observes_masks) == ("masked_dqn", True, True)
    assert (dqn.observes_masks, dqn.board_buffer) == (False, None)


@pytest.mark.parametrize(
    ("name", "is_off_policy", "can_collect_deterministically"),
    [("OnPolicy", False, True), ("OffPolicy", True, False), ("Base", False, False)],
)
def test_an_algorithm_without_a_built_in_base_class_has_safe_properties(
    name: str, is_off_policy: bool, can_collect_deterministically: bool
) -> None:
    found = describe(name)

    assert found.action_spaces == ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
    assert found.is_off_policy is is_off_policy
    assert found.can_collect_deterministically is can_collect_deterministically
    assert (found.has_epsilon, found.needs_action_masks, found.observes_masks) == (False, False, False)


def test_parameters_have_the_ranges_of_the_built_in_base_class() -> None:
    problems = find_parameter_problems(describe("SmoothPPO"), {"gamma": 1.5, "smoothing": 7.0, "smoth": 1.0})

    assert [(problem.key, problem.message) for problem in problems] == [
        (("gamma",), "expected a number from 0 to 1, found 1.5")
    ]
    assert find_parameter_problems(describe("OffPolicy"), {"tau": 7.0}) == []


def test_defaults_of_the_base_class_are_used_only_for_estimates() -> None:
    ppo = describe("SmoothPPO")

    assert fill_parameters(ppo, {"n_steps": 8}) == {"n_steps": 8, "smoothing": 0.5}
    assert fill_parameters(ppo, {}, with_inherited=True)["gamma"] == 0.99


def test_the_default_search_space_is_that_of_the_built_in_base_class() -> None:
    assert load_default_space("smooth_ppo").describe() == load_default_space("ppo").describe()
    with pytest.raises(ConfigError, match="there is no default space for outside_package"):
        load_default_space("outside_package.parts:Base")


def test_installed_algorithms_are_in_the_json_schema() -> None:
    names, own = make_json_schema()["$defs"]["AgentConfig"]["properties"]["id"]["anyOf"]

    assert names["enum"][-2:] == ["own_maskable_ppo", "smooth_ppo"]
    assert own == {"pattern": "^[^:]+:[^:]+$"}


def test_a_built_in_name_cannot_be_replaced() -> None:
    assert CALLBACKS.find("lr_decay") == "sb3_ext.callbacks.lr_decay:LearningRateDecayCallback"
    assert CALLBACKS.list_installed() == ["broken", "trace"]


def test_installed_callbacks_are_listed_with_their_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CALLBACKS, "list_installed", lambda: ["trace"])
    listed = " ".join(run_command("config", "callbacks").stdout.split())

    assert "Of other installed packages: trace Write the number of steps to a file at the end. path text" in listed


@pytest.mark.parametrize(
    ("section", "values", "problem"),
    [
        (
            "agent",
            {"id": "smoth_ppo"},
            "agent.id: unknown algorithm 'smoth_ppo'; did you mean 'smooth_ppo'? (or 'module:Name' of your own)",
        ),
        (
            "agent",
            {"id": "outside_package.parts:LastMove"},
            "agent.id: 'outside_package.parts:LastMove' is not a subclass of SB3's BaseAlgorithm",
        ),
        (
            "train",
            {"callbacks": [{"type": "trase"}]},
            "train.callbacks.0.type: unknown callback 'trase'; did you mean 'trace'? (or 'module:Name' of your own)",
        ),
        (
            "train",
            {"callbacks": [{"type": "broken"}]},
            "train.callbacks.0.type: module 'outside_package.parts' has no 'NoSuchCallback'; did you mean",
        ),
        (
            "train",
            {"callbacks": [{"type": "trace", "params": {"pth": "x"}}]},
            "train.callbacks.0.params.pth: unknown parameter; did you mean 'path'?",
        ),
        ("game", {"id": "conect3"}, "game.id: unknown game 'conect3'; did you mean 'connect3'? (or a PettingZoo game"),
        ("game", {"params": {"col": 4}}, "game.params.col: unknown parameter; did you mean 'cols'?"),
        (
            "train",
            {"opponent_sampler": {"type": "lastmove"}},
            "unknown opponent 'lastmove'; did you mean 'last_move'? (or 'module:Name' of your own)",
        ),
        (
            "train",
            {"opponent_sampler": {"type": "last_move", "params": {"hnt": "x"}}},
            "opponent 'last_move': hnt: unknown parameter; did you mean 'hint'?",
        ),
        (
            "train",
            {"opponent_sampler": {"type": "outside_package.parts:NoOpponent"}},
            "opponent 'outside_package.parts:NoOpponent': the class lacks state_dict, load_state_dict; see",
        ),
        (
            "train",
            {"opponent_sampler": {"type": "outside_package.parts:OutdatedOpponent"}},
            "opponent 'outside_package.parts:OutdatedOpponent': rename get_state() and set_state() of OutdatedOpponent "
            "to state_dict() and load_state_dict(state)",
        ),
        (
            "tracking",
            {"jurnal": {}},
            "tracking.jurnal: unknown tracker 'jurnal'; did you mean 'journal'? (or 'module:Name' of your own)",
        ),
        (
            "tracking",
            {"outside_package.parts:LastMove": {}},
            "tracking.outside_package.parts:LastMove: 'outside_package.parts:LastMove' is not a subclass of "
            "sb3_ext.tracking.Tracker",
        ),
        ("tracking", {"journal": {"pth": "x"}}, "tracking.journal.pth: unknown parameter; did you mean 'path'?"),
        ("tracking", {"journal": "x"}, "tracking.journal: expected a mapping of keyword arguments, or null, found 'x'"),
        ("tracking", {"tensorboard": {"x": 1}}, "tracking.tensorboard.x: unknown parameter"),
    ],
)
def test_every_kind_has_the_same_errors(section: str, values: dict[str, Any], problem: str) -> None:
    config = {**GAME_CONFIG, section: {**GAME_CONFIG.get(section, {}), **values}}

    assert problem in check_config(config)


def test_a_name_that_two_packages_register_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("first", "second"):
        write_package(tmp_path, package, f"[sb3_ext.games]\nhex = {package}:Hex\nsame = common:Same\n")
    monkeypatch.syspath_prepend(tmp_path)
    games = Registry("game", {}, "sb3_ext.games")

    with pytest.raises(
        LookupError, match="'hex' is registered by several packages; name one of first:Hex of first, sec"
    ):
        games.find("hex")
    assert games.find("same") == "common:Same"


def test_built_in_and_module_names_do_not_read_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", None)
    games = Registry("game", {"connect4": "sb3_ext.selfplay.games.connect4:Connect4"}, "sb3_ext.games")

    assert games.load("connect4") is games.load("sb3_ext.selfplay.games.connect4:Connect4")
    assert "connect4" in games
