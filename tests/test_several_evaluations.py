"""Several evaluations in a run: the first decides, all are in logs, files, status and curves, and resume exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml
from click.testing import CliRunner
from matplotlib.figure import Figure

import sb3_ext
from sb3_ext import ConfigError, train
from sb3_ext.building.training_environments import change_env
from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.config.evaluation_schema import EvalEnvConfig
from sb3_ext.reports import curves
from sb3_ext.reports.curves import plot_curves
from sb3_ext.reports.evaluations import read_evaluations
from signal_callback import SignalCallback


class PositionInfo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Report the last angle, and whether the pole is up, in ``info``."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "angle": observation[2], "note": "text"}


SHORT = {"name": "short", "every_steps": 96, "episodes": 3, "env": {"max_steps": 5}}
CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 30, "wrappers": [f"{__name__}.PositionInfo"], "normalize": True},
    "parallel": {"num_envs": 2, "mode": "sequential"},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "engine": "stock",
        "params": {"n_steps": 32, "batch_size": 32, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {"total_steps": 320, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
    "eval": [{"every_steps": 64, "episodes": 2, "info": ["angle", "note"]}, SHORT],
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: Path) -> list[dict[str, Any]]:
    return [{**line, "elapsed_seconds": 0} for line in read_evaluations(path)]


def test_all_are_recorded_and_an_interrupted_run_ends_as_an_uninterrupted_one() -> None:
    whole = train(CONFIG, run_dir="whole")
    first, short = whole.paths.evaluations, whole.paths.get_other_evaluations("short")
    assert [line["step"] for line in read(first)] == [64, 128, 192, 256, 320]
    assert [line["step"] for line in read(short)] == [128, 192, 320]  # after the rollouts that reach 96, 192, 288
    assert {length for line in read(short) for length in line["lengths"]} == {5}
    best = max(line["mean_return"] for line in read(first))
    assert best in [line["mean_return"] for line in read(first) if line["step"] == whole.best.step]  # the first decides
    assert whole.record.best_evaluation == best
    assert whole.record.other_evaluations == {"short": 5.0}
    assert whole.metrics["other_evaluations"]["short"]["step"] == 320
    [angle] = {len(line["info"]["angle"]) for line in read(first)}
    assert angle == 2
    assert all("note" not in line["info"] for line in read(first))
    assert "no number in info at the end of any episode of the evaluation: note" in whole.paths.log.read_text()

    train(CONFIG, run_dir="parts", callback=SignalCallback(140))
    stopped = sb3_ext.load_run("parts")
    assert stopped.status == "stopped"
    resumed = sb3_ext.resume("parts")
    assert read(resumed.paths.evaluations) == read(first)
    assert read(resumed.paths.get_other_evaluations("short")) == read(short)


def test_enjoy_evaluates_as_in_the_evaluation_of_a_name() -> None:
    train({**CONFIG, "train": {"total_steps": 64}}, run_dir="run")
    chosen = CliRunner().invoke(cli, ["enjoy", "run", "--evaluation", "short", "--json", "short.json"])
    assert chosen.exit_code == 0, chosen.output
    assert json.loads(Path("short.json").read_text())["lengths"] == [5, 5, 5]
    first = CliRunner().invoke(cli, ["enjoy", "run", "--evaluation", "eval", "--json", "first.json"])
    assert first.exit_code == 0, first.output
    assert len(json.loads(Path("first.json").read_text())["info"]["angle"]) == 2

    wrong = CliRunner().invoke(cli, ["enjoy", "run", "--evaluation", "hard"])
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == ["the run has no evaluation 'hard'; it has eval, short"]


def test_names_of_logged_values(monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_baselines3.common.logger import Logger

    found: set[str] = set()
    record = Logger.record
    monkeypatch.setattr(
        Logger, "record", lambda self, key, *more, **kw: (found.add(key), record(self, key, *more, **kw))[1]
    )
    train({**CONFIG, "train": {"total_steps": 64}}, run_dir="run")
    assert {"eval/mean_return", "eval/info/angle", "eval/short/mean_return", "eval/short/mean_length"} <= found


def test_the_list_is_the_section_with_the_key_also() -> None:
    loaded = load_config(CONFIG, ["eval.episodes=7", "eval.also.0.episodes=4"])
    assert (loaded.eval.episodes, loaded.eval.others["short"].episodes) == (7, 4)
    again = {**CONFIG, "eval": {**CONFIG["eval"][0], "episodes": 7, "also": [{**SHORT, "episodes": 4}]}}
    assert load_config(again) == loaded


def test_mistakes_in_the_list_have_their_lines(tmp_path: Path) -> None:
    content = [
        "env: {id: CartPole-v1}", "agent: {id: ppo}", "eval:", "- episodes: 0", "- name: a", "  every_stepps: 5",
        "- env: {id: CartPol-v1}",
    ]  # fmt: skip
    Path("my.yaml").write_text("\n".join(content))
    with pytest.raises(ConfigError) as raised:
        load_config("my.yaml")
    assert raised.value.problems == [
        "my.yaml:4: eval.episodes: expected a positive integer, found 0",
        "my.yaml:6: eval.also.0.every_stepps: unknown key; did you mean 'every_steps'?",
        "my.yaml:7: eval.also.1.env.id: unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?",
    ]


@pytest.mark.parametrize(
    ("evaluations", "message"),
    [
        ([{}, {"name": "a"}, {"name": "a"}], "two evaluations have the same name"),
        ([], "eval: expected a mapping, found a list"),
        ([{}, 3], "eval: expected a mapping, found a list"),
        ([{}, {"env": {"id": "Acrobot-v1"}}], r"eval\.also\.0\.env: other spaces than in training: observations: "),
    ],
)
def test_wrong_lists_are_refused_before_the_run(evaluations: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train({"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}, "eval": evaluations}, run_dir="run")
    assert not Path("run").exists()


def test_another_environment_has_only_its_own_parameters() -> None:
    trained = load_config({"env": {"id": "Pendulum-v1", "params": {"g": 9.0}}, "agent": {"id": "ppo"}}).env
    assert trained is not None
    changed = change_env(trained, EvalEnvConfig(params={"render_mode": "rgb_array"}))
    assert changed.params == {"g": 9.0, "render_mode": "rgb_array"}
    other = change_env(trained, EvalEnvConfig(id="MountainCarContinuous-v0", max_steps=9))
    assert (other.id, other.params, other.max_steps) == ("MountainCarContinuous-v0", {}, 9)


def test_curves_have_a_line_for_each_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: figures.append(figure))
    line = {"step": 10, "mean_return": 1.0, "ci95": [0.0, 2.0]}
    metrics = {
        "episodes": {"step": [5], "return": [1.0], "length": [5], "elapsed_seconds": [1.0]}, "training": {"step": []},
    }  # fmt: skip
    plot_curves(metrics, [line], Path("x.png"), other_evaluations={"hard": [line], "none": []})
    labels = figures[0].axes[0].get_legend_handles_labels()[1]
    assert labels == ["training episode", "evaluation, with 95 % interval", "evaluation hard"]


def test_the_schema_for_editors_allows_a_list() -> None:
    from sb3_ext.config.json_schema import make_json_schema

    single, several = make_json_schema()["properties"]["eval"]["anyOf"]
    assert single == {"$ref": "#/$defs/EvalConfig"}
    assert several["items"] == {"$ref": "#/$defs/OneEvalConfig"}


def test_the_resolved_configuration_loads_to_the_same() -> None:
    run = train({**CONFIG, "train": {"total_steps": 64}}, run_dir="run")
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())
    assert load_config(resolved).eval == load_config(CONFIG).eval
