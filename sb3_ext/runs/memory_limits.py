"""How much memory this process may use: of the machine, of its control group, of its own address space."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NO_LIMIT_BYTES = 2**60  # cgroup v1 writes a huge number where there is none


@dataclass(frozen=True)
class MemoryLimit:
    """
    :param name: whose, for messages: "this machine"
    :param total_bytes: what there is in all
    :param free_bytes: what of it is not in use; memory that caches hold counts as free
    :param has_children: whether the memory of child processes counts, too
    """

    name: str
    total_bytes: int
    free_bytes: int
    has_children: bool = True


def list_memory_limits() -> list[MemoryLimit]:
    """
    :return: every limit that holds for this process
    """
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    machine = MemoryLimit("this machine", memory.total + swap.total, memory.available + swap.free)
    return [machine, *list_cgroup_limits(), *_list_address_space_limits()]


def list_cgroup_limits(cgroups: Path = _CGROUPS, own_cgroups: Path = _OWN_CGROUPS) -> list[MemoryLimit]:
    """
    Read the limits of Linux control groups, by which containers and job schedulers bound memory.

    :param cgroups: where the kernel shows them, version 1 or 2
    :param own_cgroups: the kernel's list of the groups of this process
    :return: one for each group that has a limit, from the innermost outwards
    """
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return []
    limits: list[MemoryLimit] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits += _walk(cgroups, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            limits += _walk(cgroups / "memory", path, *files)
    return limits


def _walk(root: Path, path: str, limit_name: str, usage_name: str, cache_name: str) -> Iterator[MemoryLimit]:
    """Each group's limit holds for all groups in it. In a container its own group may be the root."""
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        if group.is_relative_to(root):
            limit, usage = _read_number(group / limit_name), _read_number(group / usage_name)
            if limit is not None and limit < _NO_LIMIT_BYTES:
                used = max(0, (usage or 0) - _read_statistic(group / "memory.stat", cache_name))
                yield MemoryLimit("the control group of this process", limit, max(0, limit - used))


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # there is no such group here, or it has no limit: "max"
        return None


def _read_statistic(path: Path, name: str) -> int:
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return next((int(value) for key, value in pairs if key == name), 0)
    except (OSError, ValueError):
        return 0


def _list_address_space_limits() -> Iterator[MemoryLimit]:
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        free = max(0, limit - psutil.Process().memory_info().vms)
        yield MemoryLimit("this process (ulimit -v)", limit, free, has_children=False)
