"""``sb3-ext new``: everything in a created project works as it is."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium
import pytest
from click.testing import CliRunner, Result

import sb3_ext
from sb3_ext.cli import cli

PROGRAM = [sys.executable, "-m", "sb3_ext"]


@pytest.fixture
def create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Run ``sb3-ext new`` in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda directory: CliRunner().invoke(cli, ["new", directory], catch_exceptions=False)


@pytest.fixture
def quest(create: Callable[[str], Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project by the name ``lion_quest``; it is the working directory, and its package can be imported."""
    assert create("lion_quest").exit_code == 0
    monkeypatch.chdir(tmp_path / "lion_quest")
    monkeypatch.syspath_prepend(tmp_path / "lion_quest")
    for module in ("lion_quest", "lion_quest.environment"):  # of another test
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delitem(gymnasium.registry, "LionQuest-v0", raising=False)
    return tmp_path / "lion_quest"


def test_a_project_has_the_given_name_everywhere(quest: Path) -> None:
    files = {path.relative_to(quest).as_posix(): path.read_text() for path in quest.rglob("*") if path.is_file()}
    assert files.keys() == {
        ".gitignore", "README.md", "lion_quest.yaml", "lion_quest/__init__.py", "lion_quest/environment.py",
        "pyproject.toml", "tests/test_environment.py", "train.py",
    }  # fmt: skip
    assert [name for name, text in files.items() if re.search("my_?project", text, re.IGNORECASE)] == []
    assert "class LionQuestEnv(" in files["lion_quest/environment.py"]


@pytest.mark.parametrize("place", [".", ".."])
def test_its_tests_pass_from_inside_and_outside(quest: Path, place: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(quest)]
    result = subprocess.run(command, cwd=quest / place, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert "6 passed" in result.stdout


def test_its_tests_fail_with_a_broken_environment(quest: Path) -> None:
    source = quest / "lion_quest" / "environment.py"
    source.write_text(source.read_text().replace("dtype=np.float32)\n", "dtype=np.float64)\n"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "follows_the_interface"]
    result = subprocess.run(command, cwd=quest, capture_output=True, text=True)
    assert result.returncode == 1
    assert "1 failed" in result.stdout


def test_its_configuration_trains_and_resumes_exactly(quest: Path) -> None:
    small = ["train.total_steps=512", "eval.every_steps=512", "eval.episodes=2"]
    run = sb3_ext.train("lion_quest.yaml", run_dir="runs/first", overrides=small)
    assert (run.status, run.record.step, run.record.total_steps) == ("completed", 512, 512)
    assert "exact" in run.paths.log.read_text()
    assert "approximate" not in run.paths.log.read_text()


def test_its_script_trains_and_resumes(
    quest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps in ("512", "1024"):
        monkeypatch.setattr(sys, "argv", ["train.py", "--total-steps", steps])
        runpy.run_path("train.py", run_name="__main__")
        assert f"step {steps}: mean return " in capsys.readouterr().out
    assert sorted(path.name for path in Path("checkpoints").glob("step_*")) == ["step_000000512", "step_000001024"]


@pytest.mark.slow
def test_the_commands_in_its_readme_work(quest: Path) -> None:
    [block] = re.findall(r"```bash\n(.*?)```", (quest / "README.md").read_text(), re.DOTALL)
    less = {
        "train my": ["--total-steps", "1024"],
        "tune": ["--trials", "1", "--set", "train.total_steps=1024"],
        "python": ["--total-steps", "1024"],
    }
    ran = []
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["pip", "install"]:
            continue
        words += next((extra for start, extra in less.items() if line.removeprefix("sb3-ext ").startswith(start)), [])
        start = {"sb3-ext": PROGRAM, "python": [sys.executable], "pytest": [sys.executable, "-m", "pytest"]}[words[0]]
        result = subprocess.run([*start, *words[1:]], cwd=quest, capture_output=True, text=True)
        assert result.returncode == 0, f"{line}: {result.stdout}{result.stderr}"
        ran.append(line)
    assert len(ran) == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Thing", "expected lower-case letters, digits and '_', and a letter first; try my_thing"),
        ("MyProject", "try my_project"),
        ("3d", "try d"),
        ("_", "expected lower-case letters, digits and '_', and a letter first"),
        ("class", "it is a keyword of Python"),
        ("json", "Python has a module with this name"),
        ("torch", "an installed package has it"),
        ("tests", "its tests are in a directory with this name"),
    ],
)
def test_a_name_that_no_package_can_have_is_refused(name: str, message: str, create: Callable[[str], Result]) -> None:
    result = create(name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"{message}\n")
    assert result.stderr.startswith(f"'{name}' cannot be the name of ")
    assert result.stderr.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_existing_files_are_kept(create: Callable[[str], Result]) -> None:
    Path("mine").mkdir()
    Path("mine/notes").write_text("important")
    Path("yours").write_text("important")
    for name, message in (("mine", "this directory is not empty"), ("yours", "a file with this name exists")):
        result = create(name)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"{name}: {message}; choose another name")
        assert result.stderr.count("\n") == 1
    assert sorted(str(path) for path in Path().rglob("*")) == ["mine", "mine/notes", "yours"]


def test_an_empty_directory_is_filled_and_a_missing_parent_is_an_error(create: Callable[[str], Result]) -> None:
    Path("mine").mkdir()
    assert create("mine").exit_code == 0
    assert Path("mine/mine.yaml").exists()
    result = create("missing/mine")
    assert result.exit_code == 2
    assert result.stderr == "missing/mine: cannot be created: No such file or directory\n"


def test_the_current_directory_can_be_filled(create: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine").mkdir()
    monkeypatch.chdir("mine")
    assert create(".").exit_code == 0
    assert Path("mine.yaml").exists()
