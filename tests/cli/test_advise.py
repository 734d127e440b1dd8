"""``sb3-ext advise``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sb3_ext.cli import cli
from sb3_ext.config import load_config

PPO = ["--algo", "ppo", "--env", "CartPole-v1", "--batch-size", "16", "--threads", "1", "--seconds", "0.1",
       "--set", "agent.params.n_steps=16", "--set", "agent.params.policy_kwargs.net_arch=[8]"]  # fmt: skip


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def advise(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["advise", *arguments])


@pytest.mark.parametrize("width", [80, 160])
def test_a_table_and_the_section_to_paste(width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules["sb3_ext.cli.advise"], "measure_width", lambda: width)
    result = advise(*PPO, "--num-envs", "2")
    assert result.exit_code == 0, result.output
    rows = [line.split()[0] for line in result.stdout.splitlines() if "×" in line]
    assert rows == ["sequential", "2"]
    assert max(map(len, result.stdout.splitlines())) <= width
    pasted = yaml.safe_load(result.stdout[result.stdout.index("\nparallel:") :])
    parallel = load_config({"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}, **pasted}).parallel
    assert parallel.num_envs == 2
    assert parallel.mode in ("sequential", "workers")
    assert list(tmp_path.iterdir()) == []


def test_one_environment() -> None:
    result = advise(*PPO)
    assert result.exit_code == 0, result.output
    assert "only one environment" in " ".join(result.stdout.split())
    assert result.stdout.endswith("parallel:\n  mode: sequential\n  num_envs: 1\n")


def test_mistakes() -> None:
    for arguments, message in (
        (["no_such"], "no_such"),
        ([], "give CONFIG (a YAML file"),
        (["cartpole_ppo", "--set", "agent.parms={}"], "agent.parms: unknown key"),
        (["--algo", "ppo", "--env", "No-v0"], "unknown environment"),
        ([*PPO, "--seconds", "0"], "0"),
    ):
        result = advise(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert "Traceback" not in result.output
