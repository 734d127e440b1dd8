"""What the terminal shows: on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from sb3_ext.cli import cli

SCRIPT = """
import logging
from rich.console import Console
from rich.progress import Progress
from sb3_ext.cli.console import show_log

with show_log(quiet=False, verbose=False), Progress(console=Console(stderr=True), auto_refresh=False) as bar:
    bar.add_task("training", total=10)
    bar.refresh()
    logging.getLogger("sb3_ext.somewhere").info("evaluation at step 5120")
    bar.refresh()
"""


def test_log_lines_stand_above_the_progress_bar() -> None:
    master, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=terminal, stdout=terminal, env=environment)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    finally:
        process.wait(timeout=60)
        os.close(master)
    lines = shown.decode().replace("\r", "\n").splitlines()
    assert any(line.endswith("evaluation at step 5120") and "training" not in line for line in lines), lines


def test_help_of_every_command_is_whole(tmp_path: Path) -> None:
    for arguments in ([], ["runs"], ["config"]):
        shown = CliRunner().invoke(cli, [*arguments, "--help"]).stdout
        assert "..." not in shown.partition("Commands:")[2], shown
