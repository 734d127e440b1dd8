"""Options that name a file or directory to write: checked before the work begins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sb3_ext.cli import cli

OPTIONS = [
    ("enjoy nosuch --video", "x.gif"),
    ("enjoy nosuch --json", "x.json"),
    ("enjoy nosuch --against random --json", "x.json"),
    ("league nosuch --output", "x.png"),
    ("league nosuch --json", "x.json"),
    ("plot nosuch --output", "x.svg"),
    ("plot nosuch --csv", "x.csv"),
    ("compare nosuch nosuch --output", "x.png"),
    ("compare nosuch nosuch --json", "x.json"),
    ("report nosuch --output", "x.html"),
    ("export nosuch --onnx", "x.onnx"),
    ("export nosuch --web", "x.html"),
]
DIRECTORIES = ["hub push nosuch user/x --output", "hub pull user/x --output"]


def invoke(command: str, path: object) -> Result:
    return CliRunner().invoke(cli, [*command.split(), str(path)])


@pytest.mark.parametrize(("command", "name"), OPTIONS)
def test_a_file_in_a_directory_that_does_not_exist_is_refused_first(command: str, name: str) -> None:
    result = invoke(command, f"/nonexist/{name}")
    message = f"/nonexist/{name}: cannot be written: there is no directory /nonexist\n"
    assert (result.exit_code, result.output) == (2, message)


def test_a_file_in_a_write_protected_directory_is_refused_first(
    shared_directory: Path,
    write_protecting: Callable[[Path], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tempfile.gettempdir())  # default names can be written there
    with write_protecting(shared_directory):
        for command, name in OPTIONS:
            path = shared_directory / name
            result = invoke(command, path)
            message = f"{path}: cannot be written: no permission to write in {shared_directory}\n"
            assert (result.exit_code, result.output) == (2, message)
        for command in DIRECTORIES:
            path = shared_directory / "a" / "b"
            result = invoke(command, path)
            message = f"{path}: cannot be written: no permission to write in {shared_directory}\n"
            assert (result.exit_code, result.output) == (2, message)


def test_pictures_and_figures_are_replaced_reports_and_exports_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, name in OPTIONS:
        Path(name).write_text("mine")
        is_kept = command.startswith(("report", "export"))
        expected = (
            f"{name}: exists already; add --force to replace it\n" if is_kept else "nosuch: no run with this path"
        )
        result = invoke(command, name)
        assert result.exit_code == 2
        assert expected in result.output
