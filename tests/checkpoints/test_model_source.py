"""What a user can name, and which model is meant."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sb3_ext.atomic import write_json
from sb3_ext.checkpoints.model_source import find_model, find_target
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import CheckpointError, RunError
from sb3_ext.runs.status import RunStatus
from tests.checkpoints.conftest import MakeContent


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_content: MakeContent) -> Path:
    """A run `mine` with checkpoints of the steps 10, the best, and 20, the latest."""
    monkeypatch.chdir(tmp_path)
    directory = Path("runs/mine")
    directory.mkdir(parents=True)
    write_json(directory / "status.json", RunStatus(status="completed").to_json())
    store = CheckpointStore(directory / "checkpoints")
    store.prepare()
    for step, score in ((10, 2.0), (20, 1.0)):
        store.add(make_content(step, score))
    store.update_links()
    return directory


@pytest.mark.parametrize(
    ("target", "checkpoint", "step"),
    [
        ("mine", None, 10),
        ("runs/mine", None, 10),
        ("mine", "latest", 20),
        ("mine", "best", 10),
        ("mine", 20, 20),
        ("mine", "20", 20),
        ("runs/mine/checkpoints/latest", None, 20),
        ("runs/mine/checkpoints/step_000000010", None, 10),
        ("runs/mine/checkpoints/step_000000020/model.zip", None, 20),
    ],
)
def test_finds_a_run_or_its_checkpoint(run: Path, target: str, checkpoint: str | int | None, step: int) -> None:
    found = find_model(target, checkpoint)
    assert found.bundle is not None
    assert found.bundle.step == step
    assert found.run is not None
    assert found.run.paths.root.samefile(run)
    assert (found.path, found.name) == (found.bundle.path, f"step_{step:09d}")
    assert find_model(found) is found


def test_finds_the_latest_checkpoint_if_none_has_a_score(run: Path, make_content: MakeContent) -> None:
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint in runs/mine/checkpoints is intact"):
        find_model("mine")
    store = CheckpointStore(run / "checkpoints")
    store.prepare()
    for step in (30, 40):
        store.add(make_content(step))
    bundle = find_model("mine").bundle
    assert bundle is not None
    assert bundle.step == 40


def test_a_copied_checkpoint_and_a_zip_belong_to_no_run(run: Path) -> None:
    source = run / "checkpoints" / "step_000000010"
    shutil.copytree(source, "elsewhere/copied")
    copied = find_model("elsewhere/copied/model.zip")
    assert (copied.run, copied.name) == (None, "copied")
    assert copied.bundle is not None
    shutil.copy(source / "model.zip", "theirs.zip")
    theirs = find_model(Path("theirs.zip"))
    assert (theirs.run, theirs.bundle, theirs.path, theirs.name) == (None, None, Path("theirs.zip"), "theirs")


def test_the_folder_of_a_checkpoint_does_not_hide_other_names(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = run.parent.resolve()
    monkeypatch.chdir(run / "checkpoints" / "step_000000010")
    Path("runs").symlink_to(root)
    assert find_target("mine").checkpoint is None
    assert find_target("model.zip").checkpoint == Path.cwd()


@pytest.mark.parametrize("name", ["runs/mine/checkpoints/best", "theirs.zip"])
def test_a_single_model_accepts_no_choice_of_checkpoint(run: Path, name: str) -> None:
    shutil.copy(run / "checkpoints" / "best" / "model.zip", "theirs.zip")
    with pytest.raises(CheckpointError, match=f"^{name}: is a single .*; leave out --checkpoint latest"):
        find_model(name, "latest")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mime", r"mime: no run with this path, or with this name in runs; did you mean 'mine'\?"),
        ("theirs.zip", r"theirs\.zip does not exist"),
        (
            "runs",
            r"runs: is neither a run nor a checkpoint: it has no .*",
        ),
    ],
)
def test_other_names_are_refused(run: Path, target: str, message: str) -> None:
    with pytest.raises(RunError, match=f"^{message}$"):
        find_target(target)
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        find_model(target)


def test_a_damaged_checkpoint_is_refused(run: Path) -> None:
    weights = run / "checkpoints" / "step_000000010" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        find_model(weights.parent)
