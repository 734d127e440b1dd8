"""Completion in real shells, and what it offers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from sb3_ext.atomic import write_json
from sb3_ext.cli import cli

PROGRAM = Path(sys.executable).parent


def complete(line: str) -> list[str]:
    """The values offered for the last word of a command line, the empty one after a space."""
    *words, incomplete = shlex.split(f"{line}''")
    found = ShellComplete(cli, {}, "sb3-ext", "_SB3_EXT_COMPLETE").get_completions(words, incomplete)
    return [item.value for item in found if item.type == "plain"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration, a run with two checkpoints, and a sweep with one run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").touch()
    for run in ("runs/mine", "runs/sweep/seed_1"):
        (tmp_path / run / "checkpoints" / "step_000000100").mkdir(parents=True)
        (tmp_path / run / "checkpoints" / "step_000000200").mkdir()
        write_json(tmp_path / run / "meta.json", {})
    write_json(tmp_path / "runs" / "sweep" / "sweep.json", {})
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ru", ["runs"]),
        ("runs li", ["list"]),
        ("train --resu", ["--resume"]),
        ("train my", ["my.yaml"]),
        ("train frozen", ["frozenlake_dqn"]),
        ("config check cartpole_d", ["cartpole_dqn"]),
        ("train --algo mask", ["maskable_ppo"]),
        ("train --env CartPole", ["CartPole-v0", "CartPole-v1"]),
        ("train --set train.total", ["train.total_steps=", "train.total_episodes="]),
        ("train --set early_stopping.target.r", ["early_stopping.target.return="]),
        ("train --set agent.p", ["agent.policy=", "agent.params."]),
        ("train --device cu", ["cuda", "cuda:0"]),
        ("train --launcher s", ["slurm"]),
        ("runs show ", ["mine", "sweep/seed_1"]),
        ("runs show --root runs/sweep ", ["seed_1"]),
        ("train --resume mi", ["mine"]),
        ("plot s", ["sweep", "sweep/seed_1"]),
        ("plot --x ", ["steps", "time"]),
        ("enjoy mine --checkpoint ", ["best", "latest", "100", "200"]),
        ("enjoy --checkpoint ", ["best", "latest"]),
        ("enjoy nothing --checkpoint ", []),
        ("league mine --against heu", ["heuristic"]),
        ("runs show --root my.yaml ", []),
        ("completion f", ["fish"]),
    ],
)
def test_commands_options_and_values_are_completed(line: str, expected: list[str], place: Path) -> None:
    assert complete(line) == expected


def test_everything_is_completed_without_torch(place: Path) -> None:
    lines = [
        "", "train ", "train --algo ", "train --env ", "train --set ", "train --launcher ", "runs show ", "plot ",
        "enjoy mine --against ", "enjoy mine --checkpoint ",
    ]  # fmt: skip
    code = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from test_completion import complete
    for line in {lines!r}:
        assert complete(line), line
    print({{"torch", "stable_baselines3"}} & set(sys.modules))
    """
    result = subprocess.run([sys.executable, "-c", "if 1:\n" + code], cwd=place, capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr


CODE = {
    "bash": """
source ./script
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _sb3_ext_completion sb3-ext; }
complete -p sb3-ext
compopt() { echo compopt "$@"; }
complete_line sb3-ext train frozen; echo "${COMPREPLY[@]}"
complete_line sb3-ext train --set train.total_s; echo "${COMPREPLY[@]}"
""",
    "zsh": """
autoload -U compinit; compinit -u
source ./script
echo $_comps[sb3-ext]
compadd() { echo ${(P)@[-1]}; }
words=(sb3-ext train frozen); CURRENT=3; _sb3_ext_completion
words=(sb3-ext train --set train.total_s); CURRENT=4; _sb3_ext_completion
""",
    "fish": """
source ./script
complete -C "sb3-ext train frozen"
complete -C "sb3-ext train --set train.total_s"
""",
}

EXPECTED = {
    "bash": (
        "complete -o nosort -F _sb3_ext_completion sb3-ext\nfrozenlake_dqn\ncompopt -o nospace\ntrain.total_steps=\n"
    ),
    "zsh": "_sb3_ext_completion\nfrozenlake_dqn\ntrain.total_steps=\n",
    "fish": "frozenlake_dqn\ntrain.total_steps=\n",
}


@pytest.mark.parametrize(
    "shell", ["bash", pytest.param("zsh", marks=pytest.mark.slow), pytest.param("fish", marks=pytest.mark.slow)]
)
def test_the_script_works_in_a_real_shell(shell: str, place: Path) -> None:
    script = CliRunner().invoke(cli, ["completion", shell], prog_name="sb3-ext", catch_exceptions=False)
    assert script.exit_code == 0
    (place / "script").write_text(script.stdout)
    environment = {**os.environ, "PATH": f"{PROGRAM}{os.pathsep}{os.environ['PATH']}", "HOME": str(place)}
    result = subprocess.run([shell, "-c", CODE[shell]], cwd=place, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == (EXPECTED[shell], "")


def test_an_unknown_shell_is_refused_in_one_line() -> None:
    result = CliRunner().invoke(cli, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr
