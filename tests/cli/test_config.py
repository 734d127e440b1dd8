"""``sb3-ext config``: check, show, schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sb3_ext.cli import cli
from sb3_ext.config import find_shipped_configs, load_config


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
    assert "CartPole-v1 is no sound environment" in result.stderr


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
    assert "epsilon_decay: " in listed
    assert "  interval_steps: int, required\n" in listed
    assert "  decay: float, default 0.9995\n" in listed
