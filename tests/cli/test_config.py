"""``sb3-ext config``: check, show, schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import sb3_ext.callbacks
from sb3_ext.cli import cli
from sb3_ext.config import find_shipped_configs, load_config
from sb3_ext.config.callback_types import CALLBACK_TYPES, SET_ELSEWHERE, STOCK_MODULE, load_callback_class


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["config", *arguments])


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text("env: {id: CartPole-v1}\nagent: {id: ppo, params: {n_steps: 64}}\n")
    return path


def test_check(config_file: Path) -> None:
    assert invoke("check", str(config_file)).stdout == f"{config_file}: valid\n"
    assert invoke("check", str(config_file), "--env").exit_code == 0
    config_file.write_text("env: {id: CartPole-v1}\nagent: {id: poo}\n")
    result = invoke("check", str(config_file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{config_file}:2: agent.id: unknown algorithm 'poo'; ")


def test_check_runs_the_environment_checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsound_wrapper.py").write_text(
        "import gymnasium\nclass Unsound(gymnasium.Wrapper):\n    def reset(self, **kwargs):\n        return 7, {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "my.yaml"
    path.write_text("env: {id: CartPole-v1, wrappers: [unsound_wrapper.Unsound]}\nagent: {id: ppo}\n")
    assert invoke("check", str(path)).exit_code == 0
    result = invoke("check", str(path), "--env")
    assert result.exit_code == 2
    assert "env.id: CartPole-v1: reset() returns 7 as observation" in result.stderr


def test_show_fills_in_every_default_and_loads_again(config_file: Path) -> None:
    shown = yaml.safe_load(invoke("show", str(config_file)).stdout)
    assert shown["train"]["total_steps"] == 10_000
    assert (shown["agent"]["params"]["n_steps"], shown["agent"]["params"]["gamma"]) == (64, 0.99)
    load_config(shown)


@pytest.mark.parametrize("name", find_shipped_configs())
def test_shipped_configurations_are_valid_by_name(name: str) -> None:
    assert invoke("check", name).exit_code == 0


def test_schema_describes_every_key() -> None:
    schema = json.loads(invoke("schema").stdout)
    assert schema["properties"].keys() >= {"seed", "env", "agent", "train", "parallel", "eval"}
    assert schema["$defs"]["TrainConfig"]["properties"]["duration"]["description"].startswith("90s")
    assert schema["additionalProperties"] is False


def test_callbacks_are_listed_with_their_parameters() -> None:
    listed = invoke("callbacks").stdout
    lines = [" ".join(line.split()) for line in listed.splitlines()]
    for name in (*CALLBACK_TYPES, "checkpoint", f"{STOCK_MODULE}:StopTrainingOnMaxEpisodes"):
        assert name in lines
    assert "interval transitions between two checkpoints; default 10000" in lines
    assert "decay a number above 0 and at most 1, default 0.9995; factor" in lines
    assert "every step or episode, default step; when the rate is multiplied by decay" in lines
    assert "path a path, required; path of the file" in lines
    assert "max_episodes an integer, required; Maximum number of episodes to stop training." in lines
    assert not re.search("at_boundary|:param|``", listed)


def test_every_public_callback_can_be_named_or_is_switched_on_elsewhere() -> None:
    bases = {"EpisodeCallback", "LightCallback", "LightCallbackList", "StopCallback"}
    public = {name for name in sb3_ext.callbacks.__all__ if name.endswith(("Callback", "List"))}
    named = {load_callback_class(name).__name__ for name in CALLBACK_TYPES}
    assert public - bases - named == SET_ELSEWHERE.keys()
    listed = invoke("callbacks").stdout
    assert [name for name in SET_ELSEWHERE if name not in listed] == []


def test_parameters_that_a_run_sets_itself_are_not_set_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    entry = "{type: stop_file, params: {path: there, at_boundary: false}}"
    path.write_text(f"env: {{id: CartPole-v1}}\nagent: {{id: ppo}}\ntrain: {{callbacks: [{entry}]}}\n")
    result = invoke("check", str(path))
    assert result.stderr == (
        f"{path}:3: train.callbacks.0.params.at_boundary: cannot be set here; a run stops between two rollouts\n"
    )
