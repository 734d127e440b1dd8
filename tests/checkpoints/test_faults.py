"""Whatever happens to the process or to the disk during a save, the old checkpoint or the new one is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import checkpoint_faults

KINDS = {
    "crash before an operation",
    "crash after an operation",
    "EIO",
    "ENOSPC",
    "limits on the size of files",
    "truncations",
    "bit flips",
}


def assert_all_good(tmp_path: Path, *options: str) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, checkpoint_faults.__file__, *options]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)

    counts = {name: (good, tried) for name, good, tried in re.findall(r"(.+): (\d+) of (\d+) good", result.stdout)}
    assert counts.keys() == KINDS, result.stdout + result.stderr
    assert all(good == tried != "0" for good, tried in counts.values()), result.stdout
    assert re.search("a small tmpfs: (good|not permitted here)", result.stdout), result.stdout
    assert result.returncode == 0


def test_no_checkpoint_is_lost_to_some_faults(tmp_path: Path) -> None:
    assert_all_good(tmp_path, "--every", "43", "--truncations", "20", "--bit-flips", "50")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_checkpoint_is_lost_to_any_fault(tmp_path: Path) -> None:
    assert_all_good(tmp_path)
