"""Finding, naming and removing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sb3_ext.atomic import write_json
from sb3_ext.checkpoints.model_source import find_target
from sb3_ext.errors import RunError
from sb3_ext.runs.directory_kind import STUDY_DATABASE, STUDY_LOG, SWEEP_FILE
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.paths import RUN_LINK
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import find_run, find_runs, remove_run
from sb3_ext.runs.status import RunStatus


def leave_run(directory: Path, **fields: Any) -> Path:
    """A run that is over, unless the fields say otherwise."""
    directory.mkdir(parents=True)
    write_json(directory / "status.json", RunStatus(**{"status": "completed", **fields}).to_json())
    return directory


def test_runs_are_found_one_folder_deep_and_sorted(tmp_path: Path) -> None:
    for name in ("b", "sweep/seed_10", "sweep/seed_2", "a", "too/deep/c", ".hidden"):
        leave_run(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    found = [run.paths.root.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert found == ["a", "b", "sweep/seed_2", "sweep/seed_10"]


def test_a_root_that_is_a_run_is_found(tmp_path: Path) -> None:
    leave_run(tmp_path / "a")

    assert [run.name for run in find_runs(tmp_path / "a")] == ["a"]


def test_a_corrupt_run_is_found_with_the_others(tmp_path: Path) -> None:
    leave_run(tmp_path / "a")
    (leave_run(tmp_path / "b") / "status.json").write_text("{")

    assert [run.name for run in find_runs(tmp_path)] == ["a", "b"]


def test_the_stale_limit_is_handed_on(tmp_path: Path) -> None:
    leave_run(tmp_path / "a")

    assert find_runs(tmp_path, stale_after_seconds=5)[0].stale_after_seconds == 5
    assert find_run("a", tmp_path, stale_after_seconds=5).stale_after_seconds == 5


def test_a_missing_root_has_no_runs_and_a_file_as_root_is_refused(tmp_path: Path) -> None:
    assert find_runs(tmp_path / "runs") == []
    with pytest.raises(
        RunError, match=r"a: no run with this path, or with this name in .*runs; .*runs contains no runs$"
    ):
        find_run("a", tmp_path / "runs")
    (tmp_path / "runs").touch()
    with pytest.raises(RunError, match="expected a directory of runs, but it cannot be read: Not a directory"):
        find_runs(tmp_path / "runs")


def test_a_run_is_known_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = leave_run(tmp_path / "runs" / "a")
    leave_run(tmp_path / "runs" / "sweep" / "b")
    monkeypatch.chdir(tmp_path)

    assert find_run("runs/a", Path("elsewhere")).paths.root.absolute() == directory
    assert find_run(str(directory), Path("elsewhere")).paths.root == directory
    assert find_run("a", Path("runs")).name == "a"
    assert find_run("b", Path("runs")).name == "b"
    assert find_run("sweep/b", Path("runs")).name == "b"
    assert find_run("sweep/b").name == "b"


def test_an_unknown_name_names_the_nearest(tmp_path: Path) -> None:
    leave_run(tmp_path / "cartpole_ppo")

    with pytest.raises(RunError, match="did you mean 'cartpole_ppo'"):
        find_run("cartpole_pp", tmp_path)
    with pytest.raises(RunError, match=r"no run with this path, or with this name in .*runs; .*runs contains no runs$"):
        find_run("cartpole_ppo", tmp_path / "runs")


def test_a_path_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has neither a status\.json nor a meta\.json"):
        find_run(str(tmp_path), tmp_path)


@pytest.mark.parametrize("part", ["status.json", "checkpoints/best", "checkpoints/step_000000010/model.zip"])
def test_a_part_of_a_run_is_refused_with_the_name_of_the_run(tmp_path: Path, part: str) -> None:
    run = leave_run(tmp_path / "a")
    checkpoint = run / "checkpoints" / "step_000000010"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.zip").touch()
    (run / "checkpoints" / "best").symlink_to(checkpoint.name)

    with pytest.raises(RunError, match=f"{part}: expected a run, found a part of one; its run is {run}$"):
        find_run(str(run / part))


def test_a_checkpoint_on_another_disk_is_refused_with_the_name_of_its_run(tmp_path: Path) -> None:
    run = leave_run(tmp_path / "a")
    checkpoint = tmp_path / "disk" / "step_000000010"
    checkpoint.mkdir(parents=True)
    (checkpoint.parent / RUN_LINK).symlink_to(run)

    with pytest.raises(RunError, match=f"expected a run, found a part of one; its run is {run}$"):
        find_run(str(checkpoint))


@pytest.mark.parametrize(
    ("file", "names", "explanation"),
    [
        (SWEEP_FILE, ["seed_10", "seed_2"], "is a sweep with the 2 runs seed_2, seed_10: name one, such as {}/seed_2; "
         "to continue the sweep, give the same `sb3-ext train --seeds` command again"),
        (STUDY_DATABASE, [f"trial_{number}" for number in range(4)], "is a study with the 4 runs trial_0, trial_1, "
         "trial_2, …: name one, such as {}/trial_0; to continue the study, give the same `sb3-ext tune` command again"),
        (STUDY_LOG, [], "is a study that has no runs yet; to continue the study, give the same `sb3-ext tune` command "
         "again"),
    ],
)  # fmt: skip
def test_a_sweep_or_a_study_is_refused_with_the_names_of_its_runs(
    tmp_path: Path, file: str, names: list[str], explanation: str
) -> None:
    group = tmp_path / "many"
    group.mkdir()
    (group / file).touch()
    for name in names:
        leave_run(group / name)
    for find in (lambda: find_run(str(group)), lambda: find_run("many", tmp_path), lambda: find_target(group)):
        with pytest.raises(RunError) as caught:
            find()
        assert str(caught.value) == f"{group}: {explanation.format(group)}"


def test_an_ambiguous_name_names_them_all(tmp_path: Path) -> None:
    leave_run(tmp_path / "x" / "a")
    leave_run(tmp_path / "y" / "a")

    with pytest.raises(RunError, match=r"several runs have this name: .*x/a, .*y/a"):
        find_run("a", tmp_path)


def test_an_ended_run_is_removed(tmp_path: Path) -> None:
    run = Run(leave_run(tmp_path / "a"))
    remove_run(run)

    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_run_is_removed(tmp_path: Path) -> None:
    run = Run(leave_run(tmp_path / "a"))
    run.paths.status.write_text("{")
    remove_run(run)

    assert not run.paths.root.exists()


def test_a_live_run_is_not_removed(tmp_path: Path) -> None:
    leave_run(tmp_path / "a", **vars(RunStatus.begin()))

    with pytest.raises(RunError, match="end it first with `sb3-ext runs stop"):
        remove_run(Run(tmp_path / "a"))


@pytest.mark.parametrize("text", ['{"status": "completed"}', "{"])
def test_a_locked_run_is_not_removed(tmp_path: Path, text: str) -> None:
    run = Run(leave_run(tmp_path / "a"))
    run.paths.status.write_text(text)
    lock = RunLock(run.paths.lock)

    with pytest.raises(RunError, match="end it first with `sb3-ext runs stop"):
        remove_run(run)
    lock.release()
    assert run.paths.status.exists()
