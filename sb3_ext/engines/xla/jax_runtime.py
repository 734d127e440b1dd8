"""
JAX, set up for small programs on a CPU.

JAX starts threads of its own, so it is imported when the first program is made: after the environments, whose worker
processes may be forked.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

CACHE_VARIABLE = "SB3_EXT_CACHE"
"""Environment variable: the directory of compiled programs; by default ``sb3_ext`` in the user's cache directory."""


def find_cache_directory() -> Path:
    """:return: where compiled programs are kept from one run to the next; processors of other kinds have others"""
    given = os.environ.get(CACHE_VARIABLE)
    root = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sb3_ext"
    return root / "xla" / f"{platform.machine()}-{_identify_processor()}"


def _identify_processor() -> str:
    """A home directory may be shared by machines, whose processors do not have the same instructions."""
    try:
        found = re.findall(r"^(?:flags|Features|model name)\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        text = "\n".join(sorted(set(found)))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def start_jax() -> None:
    """Import JAX and choose its settings: on the CPU, with compiled programs kept on the disk."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's own remarks about cached programs
    import jax

    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
    if jax.config.jax_compilation_cache_dir is None:
        directory = find_cache_directory()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # programs are compiled anew in each run
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def compile_program(function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
    """
    Compile a function of arrays when it is first called with arrays of some shapes.

    The program runs on one thread: its arrays are small, and the results of a run do not depend on the machine's load.

    :param function: pure; of NumPy or JAX arrays
    :param static: names of parameters that are plain values, for each of which it is compiled anew
    :return: the compiled function
    """
    start_jax()
    import jax

    options = {"xla_cpu_multi_thread_eigen": False} if jax.default_backend() == "cpu" else None
    compiled: Callable[..., Any] = jax.jit(function, static_argnames=tuple(static), compiler_options=options)
    return compiled


def time_program(run: Callable[[], Any], repeats: int = 3) -> float:
    """
    :param run: calls a program; the first call compiles it
    :param repeats: further calls
    :return: seconds of the processor that the fastest of these took: on a busy machine, a program is interrupted more
        often than the short passes that it is compared with
    """
    import jax

    jax.block_until_ready(run())
    times = []
    for _repeat in range(repeats):
        began_at = time.process_time()
        jax.block_until_ready(run())
        times.append(time.process_time() - began_at)
    return min(times)


def to_torch(array: Any) -> torch.Tensor:
    """
    :param array: a JAX array on the CPU, computed
    :return: a tensor over the same memory, which must not be written to
    """
    tensor: torch.Tensor = from_dlpack(array)
    return tensor


def to_numpy(array: Any) -> NDArray[Any]:
    """
    :param array: a JAX array
    :return: the same numbers; waits until they are computed
    """
    return np.asarray(array)
