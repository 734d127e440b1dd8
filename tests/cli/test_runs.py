"""`sb3-ext runs` on run directories, and on real processes that own some."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sb3_ext.atomic import write_json
from sb3_ext.cli import cli
from sb3_ext.cli.runs import runs
from sb3_ext.errors import RunError
from sb3_ext.runs.status import RunStatus

StartRun = Callable[[Path], "subprocess.Popen[str]"]
StartPython = Callable[..., "subprocess.Popen[str]"]
LISTED = {"step": 500, "total_steps": 1000, "episode": 20, "elapsed_seconds": 61.0}

COMMAND = "import sys; from sb3_ext.cli.runs import runs; runs(sys.argv[1:])"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default place of runs, in an empty current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def add_run(directory: Path, status: str = "completed", **fields: Any) -> Path:
    """A run directory; a running one belongs to this process."""
    directory.mkdir(parents=True)
    record = dataclasses.replace(RunStatus.begin(), status=status, **{**LISTED, **fields})
    write_json(directory / "status.json", record.to_json())
    return directory


def invoke(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(runs, arguments, input=answer, catch_exceptions=False)


def test_list_shows_the_living_ones(root: Path) -> None:
    add_run(root / "live", "running", epsilon=0.5)
    add_run(root / "frozen", "running", last_heartbeat="2020-01-01T00:00:00+00:00")
    add_run(root / "done", stop_reason="total_steps")
    add_run(root / "gone", "running", boot_id="earlier")

    result = invoke("list")
    frozen, live = result.output.splitlines()
    assert result.exit_code == 0
    assert frozen.split()[:2] == ["frozen", "stale"]
    assert live == f"  live      running    step=500/1000 (50.0%)  ep=20  ε=0.5000  [1m 1s]  (pid={os.getpid()})"


def test_list_all_shows_every_run(root: Path) -> None:
    add_run(root / "live", "running")
    add_run(root / "done", stop_reason="total_steps")
    add_run(root / "gone", "running", boot_id="earlier")
    add_run(root / "sweep" / "one", "failed", stop_reason="error: ValueError: no (x.py:1)")

    lines = [line.split() for line in invoke("list", "--all").output.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [
        ("done", "completed"),
        ("gone", "dead"),
        ("live", "running"),
        ("sweep/one", "failed"),
    ]


def test_show_names_the_checkpoint_that_was_written_after_the_last_status(root: Path) -> None:
    run = add_run(root / "gone", "running", boot_id="earlier", last_checkpoint="checkpoints/step_000000010")
    (run / "checkpoints" / "step_000000020").mkdir(parents=True)
    (run / "checkpoints" / "latest").symlink_to("step_000000020")
    [line] = [line for line in invoke("show", "gone").output.splitlines() if "last checkpoint" in line]
    assert line.endswith(str(run / "checkpoints" / "step_000000020"))


def test_list_names_a_corrupt_run_and_shows_the_others(root: Path) -> None:
    add_run(root / "a", "running")
    (add_run(root / "b") / "status.json").write_text('{"status": "runn')
    add_run(root / "c", "running")

    lines = invoke("list").output.splitlines()
    assert [line.split()[1] for line in lines] == ["running", "corrupt", "running"]
    assert "runs/b/status.json: corrupt: Unterminated string" in lines[1]


def test_list_as_json_has_all_fields(root: Path) -> None:
    add_run(root / "a", "running", boot_id="earlier")
    (add_run(root / "b") / "status.json").write_text("{")

    listed = json.loads(invoke("list", "--all", "--json").output)
    assert [entry["status"] for entry in listed] == ["dead", "corrupt"]
    assert listed[0]["name"] == "a"
    assert listed[0]["path"] == str(root / "a")
    assert listed[0]["step"] == 500
    assert "corrupt" in listed[1]["error"]


def test_without_runs_there_is_nothing_to_list_or_watch(root: Path) -> None:
    for is_there in (True, False):  # a folder in which nothing was trained yet is no mistake
        if not is_there:
            root.rmdir()
        listed = invoke("list")
        hint = "no runs found in runs; `sb3-ext train` starts one; use --root to look in another directory\n"
        assert (listed.exit_code, listed.output) == (0, hint)
        assert json.loads(invoke("list", "--json").output) == []
        watched = invoke("watch")
        assert (watched.exit_code, watched.output) == (0, "No run is running in runs.\n")


@pytest.mark.parametrize("name", ["show", "watch", "logs", "stop", "remove"])
def test_a_root_is_where_a_name_is_looked_for_and_does_nothing_for_a_path(
    root: Path, tmp_path: Path, name: str
) -> None:
    add_run(tmp_path / "mine", "failed")  # the current directory
    other = add_run(tmp_path / "other" / "mine", stop_reason="total_steps")
    (other / "logs").mkdir()
    (other / "logs" / "training.log").write_text("completed\n")
    words = ["--yes"] if name == "remove" else []
    for path in ("mine", tmp_path / "mine"):
        refused = invoke(name, str(path), "--root", "runs", *words)
        assert refused.exit_code == 2
        message = f"Error: --root cannot be given with the path of a run, {path}: leave out --root"
        assert refused.output.splitlines()[-1] == message
    found = invoke(name, "mine", "--root", "other", *words)
    assert "completed" in found.output or not other.exists(), found.output


def test_prune_and_resume_look_for_a_name_in_the_root(root: Path, tmp_path: Path) -> None:
    add_run(tmp_path / "other" / "mine", stop_reason="total_steps")

    assert invoke("prune", "mine", "--root", "other").output == "mine: nothing to remove\n"
    with pytest.raises(RunError, match="other/mine"):  # is found, and has no configuration
        invoke("resume", "mine", "--root", "other")


def test_list_says_how_to_list_runs_that_ended(root: Path) -> None:
    add_run(root / "done")
    assert invoke("list").output == "No run is running in runs; to list the 1 that ended, add --all.\n"


@pytest.mark.parametrize(
    "words",
    [
        *(["runs", name, "mine"] for name in ("show", "watch", "logs", "stop", "resume", "prune", "remove")),
        *(["compare", "mine", "other"], ["plot", "mine"], ["league", "mine"], ["enjoy", "mine"]),
        ["train", "--resume", "mine"],
    ],
    ids=" ".join,
)
def test_a_run_that_is_asked_for_where_there_are_none_is_one_clear_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "mine: no run with this path, or with this name in runs; runs contains no runs\n"


def test_the_stale_limit_is_a_parameter(root: Path) -> None:
    add_run(root / "a", "running", last_heartbeat="2020-01-01T00:00:00+00:00")

    assert " stale " in invoke("list").output
    assert " running " in invoke("list", "--stale-after", "1e12").output


def test_list_loads_nothing_heavy(root: Path) -> None:
    add_run(root / "a")
    code = f"{COMMAND.replace('runs(sys.argv[1:])', 'runs(sys.argv[1:], standalone_mode=False)')}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code, "list", "--all"], capture_output=True, text=True, check=True)

    heavy = {"torch", "numpy", "pydantic", "stable_baselines3", "gymnasium", "rich.console", "psutil"}
    assert not heavy & set(output.stdout.split())


def test_show_prints_status_results_and_environment(root: Path) -> None:
    directory = add_run(root / "a", "failed", stop_reason="error: ValueError: no (x.py:1)", last_save_error="disk full")
    write_json(directory / "meta.json", {"command": "sb3-ext train a", "git_commit": "abc", "git_dirty": True})
    (directory / "logs").mkdir()
    (directory / "logs" / "training.log").write_text("hello\n")

    output = invoke("show", "a").output
    assert output.startswith("a  failed\n")
    for text in (
        "500/1000 (50.0%)",
        "error: ValueError: no (x.py:1)",
        "disk full",
        "sb3-ext train a",
        "abc with changes",
        "runs/a/logs/training.log",
        " bytes",
        f"process {os.getpid()} on ",
    ):
        assert text in output
    assert "None" not in output


def test_show_as_json(root: Path) -> None:
    write_json(add_run(root / "a") / "meta.json", {"seed": 7})

    shown = json.loads(invoke("show", "a", "--json").output)
    assert (shown["status"], shown["meta"]["seed"]) == ("completed", 7)
    assert shown["size_bytes"] > 0


@pytest.mark.parametrize("command", ["show", "watch", "logs", "stop", "remove", "prune", "resume"])
def test_an_unknown_run_names_the_nearest(root: Path, command: str) -> None:
    add_run(root / "cartpole")

    with pytest.raises(RunError, match="did you mean 'cartpole'"):
        invoke(command, "cartpool")


@pytest.mark.parametrize("command", ["show", "watch", "stop"])
def test_a_corrupt_run_is_an_error(root: Path, command: str) -> None:
    (add_run(root / "a") / "status.json").write_text("{")

    with pytest.raises(RunError, match=r"a/status\.json: corrupt"):
        invoke(command, "a")


def test_watch_prints_once_without_a_terminal(root: Path) -> None:
    directory = add_run(root / "a", "running", episode_return_mean=12.5)
    (directory / "monitor").mkdir()
    (directory / "monitor" / "0.monitor.csv").write_text("#{}\nr,l,t\n" + "".join(f"{i},1,{i}\n" for i in range(500)))
    add_run(root / "done")

    one = invoke("watch", "a").output
    assert "a  running  starting" in one
    assert "500 of 1,000 steps" in one
    assert "12.50" in one
    assert one.splitlines()[-1].split() == ["0", "100", "200", "300", "400", "episodes"]
    every = invoke("watch").output
    assert "▁▂" in every
    assert "done" not in every


def test_watch_says_that_an_environment_is_a_mock_one(root: Path) -> None:
    add_run(root / "a", "running", mock=True)
    for words in (("watch", "a"), ("watch",)):
        assert invoke(*words).output.splitlines()[0] == "a  running  starting, mock environment"


def test_watch_without_runs_says_so(root: Path) -> None:
    assert invoke("watch").output == "No run is running in runs.\n"


def test_watch_ends_with_the_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = add_run(root / "a", "running")

    def end_run(seconds: float) -> None:
        record = RunStatus(status="completed", stop_reason="total_steps")
        write_json(directory / "status.json", record.to_json())

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(time, "sleep", end_run)
    result = invoke("watch", "a")
    assert result.exit_code == 0
    assert "running" in result.output
    assert "total_steps" in result.output


def test_watch_ends_with_an_interrupt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(root / "a", "running")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(time, "sleep", interrupt)
    assert invoke("watch", "a").exit_code == 0
    assert invoke("watch").exit_code == 0


def test_logs_shows_the_end(root: Path) -> None:
    directory = add_run(root / "a")
    with pytest.raises(RunError, match="the log does not exist"):
        invoke("logs", "a")

    (directory / "logs").mkdir()
    (directory / "logs" / "training.log").write_text("one\ntwo\nthree\n")
    assert invoke("logs", "a").output == "one\ntwo\nthree\n"
    assert invoke("logs", "a", "-n", "1").output == "three\n"
    assert invoke("logs", "a", "-n", "1", "-f").output == "three\n"


def test_logs_follows_until_the_run_ends(root: Path, start_run: StartRun, start_python: StartPython) -> None:
    run = start_run(root / "a")
    follower = start_python(COMMAND, "logs", "a", "-f")
    log = root / "a" / "logs" / "training.log"
    with log.open("a") as file:
        file.write("something happened\n")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "something happened\n"

    run.terminate()
    run.wait(timeout=30)
    assert follower.wait(timeout=30) == 0


def test_stop_ends_a_run(root: Path, start_run: StartRun) -> None:
    process = start_run(root / "a")
    result = invoke("stop", "a")

    assert result.exit_code == 0
    assert result.output == "a stopped (stop file)\n"
    assert process.wait(timeout=30) == 0
    assert invoke("stop", "a").output == "a has already ended: stopped (stop file)\n"


def test_stop_that_takes_too_long_fails(root: Path, start_run: StartRun) -> None:
    process = start_run(root / "a")
    process.send_signal(signal.SIGSTOP)
    result = invoke("stop", "a", "--timeout", "0.2")

    assert result.exit_code == 1
    assert "has not ended within 0.2 s: running" in result.output


def test_stop_says_why_it_sent_no_signal(root: Path) -> None:
    add_run(root / "a", "running", host="another")
    result = invoke("stop", "a", "--timeout", "0")

    assert result.exit_code == 1
    assert "a: it runs on another host, another, so it got the stop file only" in result.output


def test_remove_asks_first(root: Path) -> None:
    add_run(root / "a")
    refused = invoke("remove", "a", answer="n\n")
    assert refused.exit_code == 1
    assert "Delete 1 run permanently?" in refused.output
    assert (root / "a").exists()

    assert invoke("remove", "a", answer="y\n").exit_code == 0
    assert not (root / "a").exists()


def test_remove_takes_several_and_corrupt_ones(root: Path) -> None:
    add_run(root / "a")
    (add_run(root / "b") / "status.json").write_text("{")

    assert invoke("remove", "a", "runs/a", "b", "--yes").exit_code == 0
    assert list(root.iterdir()) == []


def test_remove_refuses_a_live_run_and_then_removes_none(root: Path) -> None:
    add_run(root / "a")
    add_run(root / "b", "running")

    with pytest.raises(RunError, match="end it first with `sb3-ext runs stop"):
        invoke("remove", "a", "b", "--yes")
    assert (root / "a").exists()
