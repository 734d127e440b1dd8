"""
Set up JAX for small programs on a CPU.

JAX starts threads, so it is imported only when the first program is made, after the environments, whose worker
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
"""Environment variable with the directory of compiled programs; default: ``sb3_ext`` in the user's cache directory."""


def find_cache_directory() -> Path:
    """:return: directory of compiled programs, which depends on the kind of the processor"""
    given = os.environ.get(CACHE_VARIABLE)
    root = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sb3_ext"
    return root / "xla" / f"{platform.machine()}-{_identify_processor()}"


def _identify_processor() -> str:
    """:return: hash of the processor's features, since machines with different processors may share a home directory"""
    try:
        found = re.findall(r"^(?:flags|Features|model name)\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        text = "\n".join(sorted(set(found)))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def start_jax() -> None:
    """Import JAX, and configure it to use the CPU and to cache compiled programs on the disk."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's own remarks about cached programs
    import jax

    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
    if jax.config.jax_compilation_cache_dir is None:
        directory = find_cache_directory()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # programs are compiled again in each run
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def compile_program(function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
    """
    Compile a function of arrays when it is first called with arrays of new shapes.

    The program runs on one thread, since its arrays are small and results must not depend on the load of the machine.

    :param function: pure function of NumPy or JAX arrays
    :param static: names of parameters that are plain values; the function is compiled again for each new value
    :return: the compiled function
    """
    start_jax()
    import jax

    options = {"xla_cpu_multi_thread_eigen": False} if jax.default_backend() == "cpu" else None
    compiled: Callable[..., Any] = jax.jit(function, static_argnames=tuple(static), compiler_options=options)
    return compiled


def time_program(run: Callable[[], Any], repeats: int = 3) -> float:
    """
    Measure the processor time of a program. Elapsed time would be misleading: on a busy machine, a program is
    interrupted more often than the shorter passes that it is compared with.

    :param run: function that calls the program; the first call compiles it
    :param repeats: number of measured calls after the first
    :return: processor time of the fastest call in seconds
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
    :param array: a computed JAX array on the CPU
    :return: a tensor that shares its memory, and must not be written to
    """
    tensor: torch.Tensor = from_dlpack(array)
    return tensor


def to_numpy(array: Any) -> NDArray[Any]:
    """
    :param array: a JAX array
    :return: the array as a NumPy array; waits until it is computed
    """
    return np.asarray(array)
