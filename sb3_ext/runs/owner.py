"""
Identify the process that owns a run.

The kernel reuses pids, so a pid alone is not enough. Together with the start time of the process (clock ticks since
boot), the boot id and the host, it is unique.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """
    Identifies a process, also after another process has got its pid.

    :param pid: process id
    :param host: name of the machine
    :param boot_id: id that the kernel generates at each boot of the machine
    :param process_start_ticks: when the process started, in clock ticks since that boot
    """

    pid: int
    host: str
    boot_id: str
    process_start_ticks: int

    @classmethod
    def current(cls) -> Owner:
        """:return: the identity of the calling process"""
        pid = os.getpid()
        ticks = _read_start_ticks(pid)
        if ticks is None:
            raise RuntimeError(f"the system does not show the calling process, pid {pid}")
        return cls(pid, _read_host(), _read_boot_id(), ticks)

    def is_on_this_host(self) -> bool:
        """Whether this machine, in its present boot or an earlier one, ran the process."""
        return self.host == _read_host()

    def is_alive(self) -> bool:
        """Whether exactly this process is running on this machine; always false for a process of another host."""
        return (
            self.is_on_this_host()
            and self.boot_id == _read_boot_id()
            and self.process_start_ticks == _read_start_ticks(self.pid)
        )


def _read_host() -> str:
    return platform.node()


def _read_boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def _read_start_ticks(pid: int) -> int | None:
    """:return: when the process started; ``None`` if there is none, or only its zombie"""
    if not (_PROC / "self/stat").exists():
        return _read_start_ticks_without_proc(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): "pid (name) state …"; the name may hold spaces and parentheses. State is field 3, the start is field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZXx" else int(fields[19])


def _read_start_ticks_without_proc(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 100)
    except psutil.Error:
        return None
