"""The documents are right: links lead to files, commands parse, examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from sb3_ext.cli import cli
from sb3_ext.config import find_shipped_configs, load_config
from sb3_ext.errors import ConfigError

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "sb3_ext/launching/README.md",
    "sb3_ext/ranks/README.md",
    "sb3_ext/tracking/README.md",
    "sb3_ext/config/rl_zoo/README.md",
    "sb3_ext/hub/README.md",
]
README = (ROOT / "README.md").read_text()
TRACKERS = (ROOT / "sb3_ext" / "tracking" / "README.md").read_text()


def find_blocks(language: str, before: str = "", document: str = README) -> list[str]:
    return re.findall(rf"^{before}```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


def find_commands() -> list[list[str]]:
    """The words after each ``sb3-ext``, in shell blocks and in running text."""
    lines = [line for block in find_blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(sb3-ext [a-z][^`|]*)`", README)
    commands = [shlex.split(command, comments=True) for line in lines for command in line.split("&&")]
    return [words[1:] for words in commands if words and words[0] == "sb3-ext"]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], object]:
    """Have click read a whole command line without running anything; the file my.yaml exists."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_arguments: None)
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").touch()
    return lambda words: cli.main(words, standalone_mode=False)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]

    assert missing == []


def test_the_first_screen_trains_and_tests() -> None:
    first, second = find_blocks("bash")[:2]

    assert first.strip().endswith("sb3-ext train cartpole_ppo")
    assert second.strip() == ".ci/run"
    assert README[: README.index(second)].count("\n") < 30


@pytest.mark.parametrize("words", find_commands(), ids=" ".join)
def test_commands_parse(parse: Callable[[list[str]], object], words: list[str]) -> None:
    parse(words)


@pytest.mark.parametrize("words", [["trian"], ["train", "--no-such-option"], ["config", "check"]], ids=" ".join)
def test_wrong_commands_do_not_parse(parse: Callable[[list[str]], object], words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(words)


@pytest.mark.parametrize("yaml", find_blocks("yaml"))
def test_configurations_load(yaml: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(yaml)

    load_config(tmp_path / "my.yaml")


def test_mistakes_are_reported_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    agent = ["agent:", "  id: ppo", "  parms: {}", "  params:", "    gamma: 7"]
    lines = ["seed: 1", "env:", "  id: CartPole-v1", "", *agent, ""]
    Path("my.yaml").write_text("\n".join([*lines, "train:", "  total_steps: ten"]))

    with pytest.raises(ConfigError) as caught:
        load_config("my.yaml")

    assert f"```\n{caught.value}\n```" in README


def test_every_shipped_configuration_is_named() -> None:
    assert [name for name in find_shipped_configs() if f"`{name}`" not in README] == []


@pytest.mark.parametrize(
    "code",
    [
        *find_blocks("python", "<!-- run -->\n"),
        *(pytest.param(code, marks=pytest.mark.slow) for code in find_blocks("python", "<!-- run -->\n", TRACKERS)),
    ],
)
def test_examples_run(code: str, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
