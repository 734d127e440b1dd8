"""The identity of a process."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sb3_ext.runs import owner as owner_module
from sb3_ext.runs.owner import Owner


def test_the_calling_process_is_alive() -> None:
    owner = Owner.current()

    assert owner.pid == os.getpid()
    assert owner.is_alive()
    assert owner == Owner.current()


@pytest.mark.parametrize(
    "change", [{"process_start_ticks": 1}, {"boot_id": "another"}, {"host": "another"}, {"pid": 2**22 + 1}]
)
def test_one_difference_makes_it_another_process(change: dict[str, object]) -> None:
    assert not dataclasses.replace(Owner.current(), **change).is_alive()  # type: ignore[arg-type]


def test_a_host_is_known_by_its_name() -> None:
    assert Owner.current().is_on_this_host()
    assert not dataclasses.replace(Owner.current(), host="another").is_on_this_host()


def test_a_zombie_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert owner_module._read_start_ticks(child.pid) is None


def test_without_proc_the_identity_comes_from_psutil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(owner_module, "_PROC", tmp_path)
    owner = Owner.current()

    assert owner.is_alive()
    assert not dataclasses.replace(owner, pid=2**22 + 1).is_alive()
