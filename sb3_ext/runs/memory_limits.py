"""Read how much memory this process may use: limits of the machine, the control groups and the address space."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NO_LIMIT_BYTES = 2**60  # cgroup v1 writes a huge number if there is no limit


@dataclass(frozen=True)
class MemoryLimit:
    """
    A limit of the memory that this process may use.

    :param name: name for messages, such as "this machine"
    :param total_bytes: the limit
    :param free_bytes: unused part of it; memory of caches counts as free
    :param has_children: whether the memory of child processes counts towards it
    """

    name: str
    total_bytes: int
    free_bytes: int
    has_children: bool = True


def list_memory_limits() -> list[MemoryLimit]:
    """
    :return: all limits that apply to this process
    """
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    machine = MemoryLimit("this machine", memory.total + swap.total, memory.available + swap.free)
    return [machine, *list_cgroup_limits(), *_list_address_space_limits()]


def list_cgroup_limits(cgroups: Path = _CGROUPS, own_cgroups: Path = _OWN_CGROUPS) -> list[MemoryLimit]:
    """
    Read the limits of Linux control groups, by which containers and job schedulers bound memory.

    :param cgroups: directory where the kernel mounts control groups, version 1 or 2
    :param own_cgroups: the kernel's list of the groups of this process
    :return: the limit of each group that has one, innermost first
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
    """Yield the limits of a group and of its ancestors, which also apply. In a container, the group may be the root."""
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
    except (OSError, ValueError):  # the group does not exist, or has no limit ("max")
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
