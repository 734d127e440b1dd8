"""The truth about a run's checkpoints is a scan, whatever links, leftovers and damaged ones there are."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sb3_ext.atomic import create_directory, remove_abandoned
from sb3_ext.checkpoints.bundle.bundle import Bundle, verify_bundle
from sb3_ext.checkpoints.bundle.content import BundleContent
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.errors import CheckpointError

MakeContent = Callable[..., BundleContent]


def fill(store: CheckpointStore, make_content: MakeContent, scores: dict[int, float | None]) -> dict[int, Bundle]:
    bundles = {step: store.add(make_content(step, score)) for step, score in scores.items()}
    store.update_links()
    return bundles


def break_bundle(bundle: Bundle) -> None:
    with open(bundle.model_path, "r+b") as file:
        file.seek(50)
        file.write(b"?")


def list_names(store: CheckpointStore) -> set[str]:
    return {path.name for path in store.directory.iterdir()}


def read_link(store: CheckpointStore, name: str) -> str:
    return str((store.directory / name).readlink())


def test_an_empty_or_missing_directory_has_no_checkpoints(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")

    assert (store.list_bundles(), store.find_latest(), store.find_best()) == ([], None, None)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is intact"):
        store.resolve("latest")


def test_latest_best_step_and_path_are_found(store: CheckpointStore, make_content: MakeContent) -> None:
    bundles = fill(store, make_content, {10: 1.0, 20: 3.0, 30: 2.0})

    assert store.list_bundles() == [bundles[30], bundles[20], bundles[10]]
    assert store.resolve("latest") == bundles[30]
    assert store.resolve("best") == bundles[20]
    assert store.resolve(10) == store.resolve("10") == bundles[10]
    assert store.resolve(bundles[10].path) == store.resolve(bundles[10].model_path) == bundles[10]
    assert store.resolve(store.directory / "best") == bundles[20]
    assert read_link(store, "best") == "step_000000020"
    assert read_link(store, "latest") == "step_000000030"
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 11 in .*; there are 10, 20, 30"):
        store.resolve(11)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        store.resolve(store.directory)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint 'bset' in \S+; there are best, latest and the steps 10, "
    ):
        store.resolve("bset")


def test_best_needs_a_score(store: CheckpointStore, make_content: MakeContent) -> None:
    fill(store, make_content, {10: None})

    with pytest.raises(CheckpointError, match="has a score yet; try latest"):
        store.resolve("best")
    assert list_names(store) == {"step_000000010", "latest"}


def test_only_scores_of_the_same_kind_are_compared(store: CheckpointStore, make_content: MakeContent) -> None:
    store.add(make_content(10, 500.0, of="training return"))
    store.add(make_content(20, 3.0))
    store.add(make_content(30, 2.0))

    assert store.resolve("best").step == 20


def test_links_are_not_read(store: CheckpointStore, make_content: MakeContent) -> None:
    fill(store, make_content, {10: 1.0, 20: 2.0})
    for name, target in {"best": "step_000000010", "latest": "nowhere"}.items():
        (store.directory / name).unlink()
        (store.directory / name).symlink_to(target)

    assert (store.resolve("best").step, store.resolve("latest").step) == (20, 20)
    store.update_links()
    assert read_link(store, "best") == read_link(store, "latest") == "step_000000020"


def test_a_damaged_checkpoint_is_skipped_with_a_warning(
    store: CheckpointStore, make_content: MakeContent, caplog: pytest.LogCaptureFixture
) -> None:
    bundles = fill(store, make_content, {10: 1.0, 20: 2.0})
    break_bundle(bundles[20])

    assert store.find_latest() == store.find_best() == bundles[10]
    assert "model.zip does not match; trying the checkpoint before it" in caplog.text
    assert list_names(store) == {"step_000000010", "step_000000020", "best", "latest"}


def test_playing_does_not_read_files_for_a_resume(store: CheckpointStore, make_content: MakeContent) -> None:
    bundle = fill(store, make_content, {10: 1.0})[10]
    path = bundle.path / "state" / "blobs" / "environment.bin"
    path.write_bytes(bytes(path.stat().st_size))

    for which in ("best", "latest", 10, bundle.path):
        assert store.resolve(which, playing_only=True) == bundle
        with pytest.raises(CheckpointError):
            store.resolve(which)


def test_the_owner_renames_a_damaged_checkpoint(store: CheckpointStore, make_content: MakeContent) -> None:
    for _ in range(2):
        bundles = fill(store, make_content, {10: 1.0, 20: 2.0})
        break_bundle(bundles[20])
        assert store.find_latest(set_aside=True) == bundles[10]

    assert {"step_000000020.corrupt", "step_000000020.corrupt-2"} < list_names(store)
    assert store.list_bundles() == [bundles[10]]


def test_an_intact_bundle_of_this_step_is_reused(store: CheckpointStore, make_content: MakeContent) -> None:
    first = store.add(make_content(10))
    inode = first.model_path.stat().st_ino

    assert store.add(make_content(10)) == first
    scored = store.add(make_content(10, 4.0))
    assert store.add(make_content(10)) == scored

    assert scored.score == Score(4.0, "evaluation")
    assert scored.model_path.stat().st_ino == inode


def test_a_damaged_bundle_of_this_step_is_replaced(store: CheckpointStore, make_content: MakeContent) -> None:
    break_bundle(store.add(make_content(10)))

    store.add(make_content(10))

    assert list_names(store) == {"step_000000010", "step_000000010.corrupt"}
    assert store.resolve(10).step == 10


def test_a_later_score_moves_best(store: CheckpointStore, make_content: MakeContent) -> None:
    fill(store, make_content, {10: 1.0, 20: None})

    store.record_score(20, Score(2.0, "evaluation"))

    assert store.resolve(store.directory / "best").step == 20
    with pytest.raises(CheckpointError, match="no checkpoint of step 30"):
        store.record_score(30, Score(2.0, "evaluation"))


def test_pruning_removes_what_no_rule_keeps(store: CheckpointStore, make_content: MakeContent) -> None:
    fill(store, make_content, {10: 1.0, 20: 9.0, 30: 2.0, 40: 3.0, 50: 4.0, 60: 5.0})

    assert store.prune(Retention(keep_last=2), spare=[30]) == [40, 10]
    assert list_names(store) == {f"step_0000000{step}0" for step in (2, 3, 5, 6)} | {"best", "latest"}


def test_damaged_bundles_and_other_files_are_not_pruned(store: CheckpointStore, make_content: MakeContent) -> None:
    bundles = fill(store, make_content, {10: None, 20: None, 30: None, 40: None})
    break_bundle(bundles[10])
    os.truncate(bundles[10].model_path, 20)
    (store.directory / "notes_000000001").mkdir()
    (store.directory / "notes.txt").touch()

    store.prune(Retention(keep_last=2))

    assert list_names(store) >= {"step_000000010", "notes_000000001", "notes.txt"}
    assert "step_000000020" not in list_names(store)


def test_rewinding_renames_newer_checkpoints(store: CheckpointStore, make_content: MakeContent) -> None:
    fill(store, make_content, {10: 1.0, 20: 2.0, 30: 3.0})

    aside = store.set_aside_newer(10)

    assert {path.name for path in aside} == {"step_000000020.rewound", "step_000000030.rewound"}
    assert store.resolve("latest") == store.resolve("best") == store.resolve(10)
    assert all(verify_bundle(path) for path in aside)


def test_another_prefix_is_found_too(store: CheckpointStore, make_content: MakeContent) -> None:
    CheckpointStore(store.directory, prefix="model").add(make_content(20))
    store.add(make_content(10))

    assert [bundle.path.name for bundle in store.list_bundles()] == ["model_000000020", "step_000000010"]


def test_files_of_dead_writers_are_removed_at_the_start(store: CheckpointStore, make_content: MakeContent) -> None:
    bundle = fill(store, make_content, {10: None})[10]
    (store.directory / ".step_000000020.abc").mkdir()
    (store.directory / ".step_000000020.abc" / "model.zip").touch()
    (store.directory / ".latest.abc").symlink_to("nowhere")
    (bundle.path / ".manifest.json.abc").touch()

    store.prepare()

    assert list_names(store) == {"step_000000010", "latest"}
    assert verify_bundle(bundle.path) == bundle
    assert not list(bundle.path.glob(".*"))


def test_files_of_a_running_writer_are_kept(tmp_path: Path) -> None:
    with create_directory(tmp_path / "step_000000010") as hidden:
        code = "import sys, pathlib, sb3_ext.atomic; sb3_ext.atomic.remove_abandoned(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        remove_abandoned(tmp_path)
        assert hidden.is_dir()

    assert [path.name for path in tmp_path.iterdir()] == ["step_000000010"]


def test_links_that_cannot_be_written_log_a_warning(
    store: CheckpointStore, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_path: Path, _target: str) -> None:
        raise OSError(28, "No space left on device")

    bundle = store.add(make_content(10))
    monkeypatch.setattr(Path, "symlink_to", fail)
    with caplog.at_level(logging.WARNING):
        store.update_links()

    assert "No space left on device" in caplog.text
    assert store.resolve("latest") == bundle


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()

    with pytest.raises(CheckpointError, match="cannot be used for checkpoints: File exists"):
        CheckpointStore(tmp_path / "checkpoints").prepare()


@pytest.mark.parametrize("prefix", ["", ".hidden", "a/b", "..", "a\nb"])
def test_a_prefix_is_a_plain_name(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix must be a plain name, but got"):
        CheckpointStore(tmp_path, prefix=prefix)
