"""Each inspection passes here, and fails, or warns, where its fault is planted."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.check_list import INSPECTIONS
from sb3_ext.doctor.examination import run_checks
from sb3_ext.doctor.inspections import free_memory, imports, requirement_list, shell_limits, thread_counts
from sb3_ext.doctor.inspections.dependencies import Dependencies
from sb3_ext.doctor.inspections.devices import Devices
from sb3_ext.doctor.inspections.directories import Directories
from sb3_ext.doctor.inspections.disk_clock import Clock
from sb3_ext.doctor.inspections.extras import Extras
from sb3_ext.doctor.inspections.free_memory import Memory
from sb3_ext.doctor.inspections.imports import DependencyImports, ExtraImports, find_broken
from sb3_ext.doctor.inspections.installation import Installation
from sb3_ext.doctor.inspections.interpreter import Interpreter
from sb3_ext.doctor.inspections.locks import Locks
from sb3_ext.doctor.inspections.shell_limits import ShellLimits
from sb3_ext.doctor.inspections.thread_counts import ThreadCounts
from sb3_ext.runs.memory_limits import MemoryLimit

_HEAVY = (DependencyImports,)


def examine(check: Check) -> Finding:
    [result] = run_checks([check], lambda _result: None)
    return result.finding


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in front of all others in which this process, and those that it starts, find packages."""
    place = tmp_path / "planted"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)
    return place


def plant_version(place: Path, name: str, version: str, *lines: str) -> None:
    folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("\n".join([f"Name: {name}", f"Version: {version}", *lines, ""]))


@pytest.mark.parametrize(
    "check", [check for check in INSPECTIONS if not isinstance(check, _HEAVY)], ids=lambda check: check.name
)
def test_nothing_fails_here_and_nothing_is_left(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert examine(check).verdict in ("OK", "WARNING")
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_python_is_found(plant: Path) -> None:
    plant_version(plant, "sb3-ext", "9.9", "Requires-Python: >=3.99")
    finding = examine(Interpreter())
    assert (finding.verdict, finding.advice) == ("FAILED", "install Python >=3.99")


def test_a_second_installation_is_found(plant: Path) -> None:
    plant_version(plant, "sb3-ext", "9.9")
    finding = examine(Installation())
    assert finding.verdict == "FAILED"
    assert "but pip has installed 9.9" in finding.detail


def test_a_version_out_of_bounds_is_found_with_what_to_install(plant: Path) -> None:
    plant_version(plant, "gymnasium", "0.29.1")
    finding = examine(Dependencies())
    assert finding.verdict == "FAILED"
    assert finding.detail == "gymnasium 0.29.1 is installed, expected <1.5,>=1.2.3"
    assert finding.advice == "pip install 'gymnasium<1.5,>=1.2.3'"


def test_a_missing_dependency_is_found(plant: Path) -> None:
    plant_version(plant, "sb3-ext", "9.9", "Requires-Dist: no-such-package>=2")
    finding = examine(Dependencies())
    assert finding.detail == "no-such-package is not installed, expected >=2"
    assert finding.advice == "pip install 'no-such-package>=2'"


def test_an_installation_without_metadata_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirement_list, "DISTRIBUTION", "no-such-package")
    finding = examine(Dependencies())
    assert finding.verdict == "FAILED"
    assert "no-such-package" in finding.detail


def test_extras_are_listed_with_what_to_install(plant: Path) -> None:
    plant_version(
        plant, "sb3-ext", "9.9",
        *("Provides-Extra: good", 'Requires-Dist: numpy>=1; extra == "good"'),
        *("Provides-Extra: old", 'Requires-Dist: pydantic>=99; extra == "old"'),
        *("Provides-Extra: absent", 'Requires-Dist: no-such-package; extra == "absent"'),
        *("Provides-Extra: part", 'Requires-Dist: numpy>=99; extra == "part"'),
        'Requires-Dist: no-such-package; extra == "part"',
        *("Provides-Extra: never", "Requires-Dist: no-such-package; python_version < '3' and extra == 'never'"),
    )  # fmt: skip
    finding = examine(Extras())
    assert finding.verdict == "FAILED"
    assert finding.detail.startswith("old: pydantic ")
    assert finding.detail.endswith("expected >=99; installed: good")
    assert finding.advice == "pip install 'sb3-ext[old]'"
    assert finding.notes == ("absent: pip install 'sb3-ext[absent]'", "absent: pip install 'sb3-ext[part]'")


def test_an_extra_needs_what_the_extras_of_its_packages_need(plant: Path) -> None:
    plant_version(
        plant, "sb3-ext", "9.9",
        *("Provides-Extra: gpu", 'Requires-Dist: planted-package[cuda]; extra == "gpu"'),
        *("Provides-Extra: cpu", 'Requires-Dist: planted-package; extra == "cpu"'),
    )  # fmt: skip
    plant_version(
        plant, "planted-package", "1.0", "Provides-Extra: cuda", 'Requires-Dist: no-such-package; extra == "cuda"'
    )
    finding = examine(Extras())
    assert finding.detail == "installed: cpu"
    assert finding.notes == ("absent: pip install 'sb3-ext[gpu]'",)


def test_a_broken_extra_is_found(plant: Path) -> None:
    plant_version(
        plant, "sb3-ext", "9.9",
        *("Provides-Extra: cluster", 'Requires-Dist: planted-package; extra == "cluster"'),
        *("Provides-Extra: yaml", 'Requires-Dist: safetensors; extra == "yaml"'),
    )  # fmt: skip
    plant_version(plant, "planted-package", "1.0")
    (plant / "planted_package-1.0.dist-info" / "top_level.txt").write_text("planted_package\n")
    (plant / "planted_package.py").write_text("raise ImportError('libplanted.so.3: cannot open')")
    finding = examine(ExtraImports())
    assert finding.verdict == "FAILED"
    assert finding.detail == "extras cluster: planted_package: ImportError: libplanted.so.3: cannot open"
    assert finding.advice == "pip install --force-reinstall 'sb3-ext[cluster]'"
    (plant / "planted_package.py").write_text("")
    assert examine(ExtraImports()).verdict == "OK"


def test_imports_that_end_the_process_are_found_and_the_others_still_tried(plant: Path, tmp_path: Path) -> None:
    (plant / "planted_a.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    (plant / "planted_b.py").write_text("print('fine')")
    (plant / "planted_c.py").write_text("import os; os._exit(3)")
    (plant / "planted_d.py").write_text("raise SystemExit('no licence')")
    assert find_broken(["planted_a", "planted_b", "planted_c", "planted_d"], tmp_path) == {
        "planted_a": "the import is killed by SIGILL",
        "planted_c": "the import ends the process: exit status 3",
        "planted_d": "SystemExit: no licence",
    }


def test_an_import_that_does_not_end_is_found(plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_TIMEOUT_SECONDS", 2)
    (plant / "planted_e.py").write_text("import time; time.sleep(60)")
    assert find_broken(["planted_e"], tmp_path) == {"planted_e": "the import does not end"}


def test_a_device_that_cannot_compute_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, _device: tensor * 2)
    assert examine(Devices()).detail == "cpu: a product of matrices is wrong"
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    if not torch.cuda.is_available():
        assert examine(Devices()).verdict == "FAILED"


def test_a_driver_without_a_usable_gpu_is_a_warning(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (plant / "nvidia-smi").touch(0o755)
    monkeypatch.setenv("PATH", str(plant))
    finding = examine(Devices())
    assert finding.verdict == "WARNING"
    assert "torch finds no GPU" in finding.detail


def test_more_threads_than_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_counts, "count_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    finding = examine(ThreadCounts())
    assert (finding.verdict, finding.advice) == ("WARNING", "export OMP_NUM_THREADS=2")


@pytest.mark.parametrize(("free", "verdict"), [(2**31, "OK"), (2**29, "WARNING"), (2**27, "FAILED")])
def test_little_memory_is_found(free: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [MemoryLimit("this machine", 2**35, 2**34), MemoryLimit("the control group", 2**32, free)]
    monkeypatch.setattr(free_memory, "list_memory_limits", lambda: limits)
    finding = examine(Memory())
    assert finding.verdict == verdict
    assert verdict == "OK" or finding.advice.endswith("raise the limit of the control group")


@pytest.mark.parametrize("name", ["runs", "cache", "temporary"])
def test_a_directory_that_cannot_be_written_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "runs"
    file.touch()
    if name == "cache":
        monkeypatch.setenv("SB3_EXT_CACHE", str(file / "inside"))
    if name == "temporary":
        monkeypatch.setattr(tempfile, "gettempdir", lambda: str(file))
    if name != "runs":
        monkeypatch.setattr("sb3_ext.doctor.inspections.directories.RUNS", tmp_path / "others")
    finding = Directories().examine(tmp_path)
    assert finding.verdict == "FAILED"
    assert finding.detail.startswith(f"{name}: {file}")
    assert finding.detail.endswith("cannot be written: Not a directory")
    assert {"runs": "--run-dir", "cache": "SB3_EXT_CACHE", "temporary": "TMPDIR"}[name] in finding.advice
    assert len(finding.notes) == 2


@pytest.mark.parametrize(("free", "verdict"), [(2**29, "WARNING"), (2**20, "FAILED")])
def test_a_full_disk_is_found(free: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": free}))
    finding = examine(Directories())
    assert finding.verdict == verdict
    assert "is nearly full" in finding.detail


def test_a_file_system_without_locks_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("sb3_ext.doctor.inspections.locks.acquire_lock", refuse)
    finding = examine(Locks())
    assert finding.verdict == "WARNING"
    assert "has no locks: No locks available" in finding.detail


@pytest.mark.parametrize(
    ("state", "reason"), [(False, "a lock of another process is not seen"), (True, "killed process is not released")]
)
def test_locks_that_do_not_work_are_found(state: bool, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sb3_ext.doctor.inspections.locks.is_locked", lambda _path: state)
    finding = examine(Locks())
    assert finding.verdict == "FAILED"
    assert finding.detail.endswith(reason)


@pytest.mark.parametrize("check", [Locks(), Clock()], ids=lambda check: check.name)
def test_where_nothing_can_be_written_one_check_says_so(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("locks", "disk_clock"):
        monkeypatch.setattr(f"sb3_ext.doctor.inspections.{module}.can_write", lambda _directory: False)
    finding = examine(check)
    assert finding.verdict == "SKIPPED"
    assert finding.detail.endswith("cannot be written")


def test_a_clock_that_differs_from_the_disks_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sb3_ext.doctor.inspections.disk_clock.measure_skew", lambda _directory: -90.0)
    finding = examine(Clock())
    assert finding.verdict == "WARNING"
    assert "90.0 s from the clock of the disk" in finding.detail


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_few_open_files_are_found() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        finding = examine(ShellLimits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert finding.verdict == "FAILED"
    assert "only 200 open files are allowed" in finding.detail
    assert "ulimit -n 4096" in finding.advice


@pytest.mark.parametrize(
    ("limits", "verdict", "advice"),
    [
        ({"RLIMIT_NOFILE": 512}, "WARNING", "ulimit -n 4096"),
        ({"RLIMIT_NPROC": 20}, "WARNING", "ulimit -u 4096"),
        ({"RLIMIT_FSIZE": 2**20}, "FAILED", "ulimit -f unlimited"),
        ({"RLIMIT_CPU": 600}, "WARNING", "ulimit -t unlimited"),
    ],
)
def test_limits_of_the_shell_are_found(
    limits: dict[str, int], verdict: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_limits, "_read_limits", lambda: limits)
    monkeypatch.setattr(shell_limits, "_SHARED_MEMORY", Path("/no/such/directory"))
    finding = examine(ShellLimits())
    assert (finding.verdict, finding.advice) == (verdict, advice)


def test_little_shared_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shell_limits, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"total": 64 * 2**20}))
    finding = examine(ShellLimits())
    assert finding.verdict == "WARNING"
    assert "docker run --shm-size=1g" in finding.advice
