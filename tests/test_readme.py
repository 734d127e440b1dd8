"""The documents are right: links lead to files, commands parse, configurations load, examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

from pages import ROOT, find_anchors, find_blocks, find_commands, find_examples, find_pages, read_page
from sb3_ext.cli import cli
from sb3_ext.config import find_shipped_configs, load_config
from sb3_ext.errors import ConfigError

PAGES = find_pages()
README = read_page("README.md")


def find_command_words(lines: Iterable[str]) -> list[list[str]]:
    """The words after each ``sb3-ext``."""
    commands = [shlex.split(text) for line in lines for text in line.split("&&")]
    return [words[words.index("sb3-ext") + 1 :] for words in commands if "sb3-ext" in words]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], object]:
    """Have click read a whole command line without running anything; the file my.yaml exists."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_arguments: None)
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").touch()
    return lambda words: cli.main(words, standalone_mode=False)


def test_every_page_is_found() -> None:
    assert len(PAGES) > 15
    assert {"README.md", "sb3_ext/README.md", "sb3_ext/tracking/README.md", "envs/README.md"} <= set(PAGES)


def test_the_first_screen_trains_and_tests() -> None:
    first, second = find_blocks("README.md", "bash")[:2]

    assert first.strip().endswith("sb3-ext train cartpole_ppo")
    assert second.strip() == ".ci/run"
    assert README[: README.index(second)].count("\n") < 30


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.splitlines()) < 300


def test_every_page_is_linked_from_the_readme() -> None:
    assert [page for page in PAGES[1:] if f"]({page})" not in README] == []


@pytest.mark.parametrize("document", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(document: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)]+)\)", read_page(document)):
        name, _, anchor = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        if "://" not in link and (not target.exists() or (anchor and anchor not in find_anchors(str(target)))):
            missing.append(link)

    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(parse: Callable[[list[str]], object], page: str) -> None:
    for words in find_command_words(find_commands(page)):
        parse(words)
    for words in find_command_words(re.findall(r"`(sb3-ext [a-z][^`|]*)`", read_page(page))):
        with suppress(click.MissingParameter):  # running text also names commands alone
            parse(words)


@pytest.mark.parametrize("words", [["trian"], ["train", "--no-such-option"], ["config", "check"]], ids=" ".join)
def test_wrong_commands_do_not_parse(parse: Callable[[list[str]], object], words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_configurations_load(page: str, tmp_path: Path) -> None:
    for yaml in find_blocks(page, "yaml"):
        (tmp_path / "my.yaml").write_text(yaml)
        load_config(tmp_path / "my.yaml")


def test_mistakes_are_reported_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    agent = ["agent:", "  id: ppo", "  parms: {}", "  params:", "    gamma: 7"]
    lines = ["seed: 1", "env:", "  id: CartPole-v1", "", *agent, ""]
    Path("my.yaml").write_text("\n".join([*lines, "train:", "  total_steps: ten"]))

    with pytest.raises(ConfigError) as caught:
        load_config("my.yaml")

    assert f"```\n{caught.value}\n```" in read_page("sb3_ext/config/README.md")


def test_every_shipped_configuration_is_named() -> None:
    text = read_page("configs/README.md")

    assert [name for name in find_shipped_configs() if f"`{name}`" not in text] == []


def list_examples(*, quick: bool) -> list[Any]:
    return [
        pytest.param(code, id=f"{page}-{'quick-' if quick else ''}{number}")
        for page in PAGES
        for number, code in enumerate(find_examples(page, quick=quick))
    ]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("code", list_examples(quick=True))
def test_quick_examples_run_in_this_process(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})


@pytest.mark.slow
@pytest.mark.parametrize("code", [*list_examples(quick=True), *list_examples(quick=False)])
def test_examples_run(code: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code)
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [sys.executable, "script.py"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
