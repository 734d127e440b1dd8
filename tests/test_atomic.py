"""Files and folders are written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sb3_ext.atomic import write_bytes, write_directory, write_json, write_text


@contextmanager
def set_umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_arguments: object, **_keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def list_names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill_directory(path: Path, content: str) -> None:
    with write_directory(path) as directory:
        (directory / "weights").write_text(content)
        (directory / "state").mkdir()
        (directory / "state" / "counters").write_text(content)


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_created_and_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "status.json"

    write_bytes(path, b"first, and longer", durable=durable)
    write_bytes(path, b"second", durable=durable)

    assert path.read_bytes() == b"second"
    assert list_names(tmp_path) == ["status.json"]


def test_an_open_file_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_text(path, "old")

    with path.open() as reader:
        write_text(path, "new and longer")
        assert reader.read() == "old"


def test_text_is_utf8_and_json_is_strict(tmp_path: Path) -> None:
    write_text(tmp_path / "line", "ε=0.42")
    assert (tmp_path / "line").read_bytes() == "ε=0.42".encode()

    write_json(tmp_path / "metrics.json", {"return": 475.0})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"return": 475.0}

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "metrics.json", {"return": float("nan")})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"return": 475.0}


@pytest.mark.parametrize(("mask", "file_mode", "directory_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_permissions_are_those_of_an_ordinary_new_file(
    tmp_path: Path, mask: int, file_mode: int, directory_mode: int
) -> None:
    with set_umask(mask):
        write_text(tmp_path / "file", "")
        fill_directory(tmp_path / "directory", "")

    assert read_mode(tmp_path / "file") == file_mode
    assert read_mode(tmp_path / "directory") == directory_mode


@pytest.mark.parametrize(("owner", "operation"), [(os, "fchmod"), (os, "fsync"), (Path, "replace")])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_after_a_disk_error_only_the_old_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, operation: str, number: int
) -> None:
    path = tmp_path / "status.json"
    write_text(path, "old")
    descriptors_before = len(list_names(Path("/proc/self/fd")))

    monkeypatch.setattr(owner, operation, fail_with(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write_text(path, "new")

    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["status.json"]
    assert len(list_names(Path("/proc/self/fd"))) == descriptors_before


def test_after_an_incomplete_write_only_the_old_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_text(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            write_bytes(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["status.json"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    path = tmp_path / "status.json"
    write_text(path, "old")

    def interrupt(*_arguments: object) -> None:
        raise interruption

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(interruption):
        write_text(path, "new")

    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["status.json"]


def test_a_missing_directory_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "nowhere" / "file", "")


def test_a_directory_appears_complete(tmp_path: Path) -> None:
    path = tmp_path / "step_000010000"

    with write_directory(path) as directory:
        (directory / "weights").write_text("w")
        assert not path.exists()
        assert directory.parent == tmp_path
        assert directory.name.startswith(".")

    assert (path / "weights").read_text() == "w"
    assert list_names(tmp_path) == ["step_000010000"]


def test_a_directory_does_not_appear_after_an_exception(tmp_path: Path) -> None:
    def fill_half() -> None:
        with write_directory(tmp_path / "step_1") as directory:
            (directory / "weights").write_text("half")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fill_half()

    assert list_names(tmp_path) == []


@pytest.mark.parametrize(("owner", "operation"), [(os, "fsync"), (Path, "rename")])
def test_a_directory_does_not_appear_after_a_disk_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, operation: str
) -> None:
    monkeypatch.setattr(owner, operation, fail_with(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        fill_directory(tmp_path / "step_1", "half")

    assert list_names(tmp_path) == []


def test_a_directory_that_exists_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "step_1"
    fill_directory(path, "old")

    with pytest.raises(OSError, match="not empty"):
        fill_directory(path, "new")

    assert (path / "weights").read_text() == "old"
    assert list_names(tmp_path) == ["step_1"]


def test_the_content_of_a_directory_is_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "step_1"
    flushed: list[str] = []
    really_flush, really_rename = os.fsync, Path.rename

    def flush(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        really_flush(descriptor)

    def rename(source: Path, target: Path) -> Path:
        assert {"weights", "counters", "state", source.name} <= set(flushed)
        flushed.clear()
        return really_rename(source, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "rename", rename)
    fill_directory(path, "content")

    assert flushed == [tmp_path.name]


def test_a_file_is_not_flushed_unless_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))

    write_text(tmp_path / "status.json", "new", durable=False)

    assert (tmp_path / "status.json").read_text() == "new"
