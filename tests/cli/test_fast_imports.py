from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from pathlib import Path

import stable_baselines3  # noqa: F401

from sb3_ext.cli.fast_imports import importing_sb3


def test_no_garbage_is_collected_during_imports_and_what_is_imported_is_left_out_later() -> None:
    code = """
    import gc, sys
    from sb3_ext.cli.fast_imports import importing_sb3

    try:
        with importing_sb3():
            print(gc.isenabled(), "stable_baselines3" in sys.modules, "rich.progress" in sys.modules)
            import no_such_module
    except ModuleNotFoundError as error:
        print(gc.isenabled(), gc.get_freeze_count() > 10_000, error.name)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines() == ["False True False", "True True no_such_module"], result.stderr


def test_nothing_changes_where_sb3_is_imported_already() -> None:
    frozen = gc.get_freeze_count()
    with importing_sb3():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_mistakes_that_need_no_schema_are_reported_without_torch(tmp_path: Path) -> None:
    (tmp_path / "tab.yaml").write_text("env:\n\tid: CartPole-v1\n")
    code = """
    import sys
    from click.testing import CliRunner
    from sb3_ext.cli import cli

    for file in ("nosuch.yaml", "tab.yaml"):
        for command in ("train", "tune", "advise", "config check", "config show"):
            result = CliRunner().invoke(cli, [*command.split(), file])
            print(result.exit_code, "torch" in sys.modules, result.output.strip())
    print(CliRunner().invoke(cli, ["train", "nosuch", "--set", "eval.episodes"]).output.strip(), "torch" in sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    missing = "2 False nosuch.yaml: cannot be read: No such file or directory"
    tab = "2 False tab.yaml:2: not valid YAML: found character '\\t' that cannot start any token"
    *lines, last = result.stdout.splitlines()
    assert lines == [missing] * 5 + [tab] * 5, result.stderr
    assert last.startswith("nosuch: no such file or shipped configuration; ")
    assert last.endswith(" False")
