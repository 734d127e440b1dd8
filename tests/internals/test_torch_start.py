"""torch without the registrations of its meta kernels, until something uses them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import torch

from sb3_ext.internals.torch_start import defer_meta_registrations

assert torch.__version__  # is imported


def run_python(code: str, directory: Path) -> list[str]:
    """:return: the printed lines of a fresh process that defers the registrations"""
    start = (
        "import sys\nfrom sb3_ext.internals.torch_start import defer_meta_registrations\ndefer_meta_registrations()\n"
    )
    command = [sys.executable, "-W", "error", "-c", start + textwrap.dedent(code)]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_training_needs_no_meta_kernels_and_fake_tensors_find_them(tmp_path: Path) -> None:
    lines = run_python(
        """
        import sb3_contrib, sb3_ext.reports.curves, sb3_ext.training, torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        print("torch._prims" in sys.modules)
        with FakeTensorMode():
            print(list(torch.nn.Conv2d(3, 4, 3)(torch.empty(2, 3, 8, 8)).shape))
        print(torch._meta_registrations is sys.modules["torch._meta_registrations"])
        print(torch._meta_registrations.meta_conv.__name__, torch._decomp.__loader__ is torch._decomp.__spec__.loader)
        print(any("Deferring" in repr(finder) for finder in sys.meta_path))
        """,
        tmp_path,
    )
    assert lines == ["False", "[2, 4, 6, 6]", "True", "meta_conv True", "False"]


def test_a_name_of_the_skipped_module_is_found(tmp_path: Path) -> None:
    lines = run_python(
        """
        import inspect, torch

        inspect.getmodule(torch.nn.Linear.forward.__code__)  # looks at every module
        print("torch._prims" in sys.modules)
        from torch._meta_registrations import meta_conv
        print(meta_conv.__name__, torch._meta_registrations is sys.modules["torch._meta_registrations"])
        """,
        tmp_path,
    )
    assert lines == ["False", "meta_conv True"]


def test_modules_of_the_user_find_them(tmp_path: Path) -> None:
    (tmp_path / "my_network.py").write_text(
        "import torch\n"
        "with torch.device('meta'):\n"
        "    size = list(torch.nn.Conv2d(3, 4, 3)(torch.empty(2, 3, 8, 8)).shape)\n"
    )
    lines = run_python(
        """
        import torch
        print("torch._prims" in sys.modules)
        import my_network
        print(my_network.size)
        """,
        tmp_path,
    )
    assert lines == ["False", "[2, 4, 6, 6]"]


def test_nothing_changes_if_torch_is_imported_already() -> None:
    finders = list(sys.meta_path)
    defer_meta_registrations()
    assert sys.meta_path == finders
