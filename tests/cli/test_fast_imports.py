from __future__ import annotations

import gc
import subprocess
import sys
import textwrap

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
