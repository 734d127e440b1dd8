"""The directory of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext.errors import RunError
from sb3_ext.runs.directory_kind import STUDY_LOG, SWEEP_FILE
from sb3_ext.runs.run_registry import find_run_group
from sb3_ext.sweeps.sweep import Sweep


def make_run(directory: Path, status: str = "completed") -> None:
    directory.mkdir()
    (directory / "status.json").write_text(f'{{"status": "{status}"}}')
    (directory / "meta.json").write_text("{}")


def test_a_sweep_without_runs_leaves_no_directory(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", [0])
    (sweep.logs / "seed_0.log").write_text("refused")
    sweep.close()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_is_continued_and_extended(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, [1, 0])
    make_run(sweep.get_directory(0))
    make_run(sweep.get_directory(1), "failed")
    sweep.close()
    sweep = Sweep(tmp_path, [0, 5])
    assert sweep.seeds == [1, 0, 5]
    assert [seed for seed in sweep.seeds if sweep.is_complete(seed)] == [0]
    sweep.close()


def test_a_name_of_a_sweep_stands_for_its_runs(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "many", [2, 10])
    with pytest.raises(RunError, match="this sweep has no runs yet"):
        find_run_group("many", tmp_path)
    for seed in sweep.seeds:
        make_run(sweep.get_directory(seed))
    sweep.close()
    assert [run.name for run in find_run_group("many", tmp_path)] == ["seed_2", "seed_10"]
    assert [run.name for run in find_run_group(str(sweep.get_directory(2)), tmp_path)] == ["seed_2"]


def test_two_processes_do_not_run_one_sweep(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", [0])
    with pytest.raises(RunError, match="another process runs this sweep"):
        Sweep(tmp_path / "sweep", [0])
    sweep.close()


def test_other_directories_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(RunError, match="is a run; --seeds needs a directory of its own"):
        Sweep(tmp_path / "run", [0])
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / STUDY_LOG).touch()
    with pytest.raises(RunError, match="is a study; --seeds needs a directory of its own"):
        Sweep(tmp_path / "study", [0])
    with pytest.raises(RunError, match="neither empty nor a sweep"):
        Sweep(tmp_path, [0])


def test_a_corrupt_sweep_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / SWEEP_FILE).write_text("[]")
    with pytest.raises(RunError, match=r"sweep\.json: corrupt"):
        Sweep(tmp_path, [0])
