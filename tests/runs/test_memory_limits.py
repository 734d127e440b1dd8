from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sb3_ext.runs.memory_limits import MemoryLimit, list_cgroup_limits, list_memory_limits

NAME = "the control group of this process"


def write(directory: Path, **files: object) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_machine_is_a_limit() -> None:
    machine = list_memory_limits()[0]
    assert machine.name == "this machine"
    assert machine.total_bytes == psutil.virtual_memory().total + psutil.swap_memory().total
    assert 0 < machine.free_bytes <= machine.total_bytes


def test_groups_of_version_2_bound_those_in_them(tmp_path: Path) -> None:
    write(tmp_path, own="0::/job/step")
    write(tmp_path / "fs/job", memory__max=8000, memory__current=3000, memory__stat="anon 2500\ninactive_file 500")
    write(tmp_path / "fs/job/step", memory__max="max", memory__current=3000)
    assert list_cgroup_limits(tmp_path / "fs", tmp_path / "own") == [MemoryLimit(NAME, 8000, 5500)]


def test_a_container_is_its_own_root(tmp_path: Path) -> None:
    write(tmp_path, own="0::/")
    write(tmp_path / "fs", memory__max=8000, memory__current=9000)
    assert list_cgroup_limits(tmp_path / "fs", tmp_path / "own") == [MemoryLimit(NAME, 8000, 0)]


def test_groups_of_version_1_bound_those_in_them(tmp_path: Path) -> None:
    write(tmp_path, own="9:cpu,cpuacct:/other\n5:memory:/slurm/job\n1:name=systemd:/")
    stat = "inactive_file 1\ntotal_inactive_file 100"
    write(tmp_path / "fs/memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=10**9)
    write(tmp_path / "fs/memory/slurm/job", memory__limit_in_bytes=4000, memory__usage_in_bytes=1000, memory__stat=stat)
    assert list_cgroup_limits(tmp_path / "fs", tmp_path / "own") == [MemoryLimit(NAME, 4000, 3100)]


def test_a_system_without_groups_has_no_such_limit(tmp_path: Path) -> None:
    assert list_cgroup_limits(tmp_path, tmp_path / "own") == []


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="this system has no such limit")
def test_the_address_space_is_a_limit(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    code = """
import resource
from sb3_ext.runs.memory_limits import list_memory_limits
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
limit = list_memory_limits()[-1]
print(limit.name, limit.total_bytes, 0 < limit.free_bytes < 2**31, limit.has_children, sep="; ")
"""
    output, _ = start_python(code).communicate()
    assert output == "this process (ulimit -v); 2147483648; True; False\n"
