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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.engines.coverage import NotCovered

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
    """
    Import JAX, and configure it to use the CPU, with one thread, and to cache compiled programs on the disk.

    :raises NotCovered: if ``JAX_PLATFORMS`` excludes the CPU
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's own remarks about cached programs
    import jax

    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
    # The programs take about a millisecond: handing parts of them to other threads takes longer than it saves.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    with _setting_variable("NPROC", "1"):  # XLA's number of threads
        try:
            jax.devices("cpu")
        except RuntimeError as error:
            raise NotCovered(f"JAX has no CPU device (JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')})") from error
    if jax.config.jax_compilation_cache_dir is None:
        directory = find_cache_directory()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # programs are compiled again in each run
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@contextmanager
def _setting_variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


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

    options = {"xla_cpu_multi_thread_eigen": False}
    compiled: Callable[..., Any] = jax.jit(function, static_argnames=tuple(static), compiler_options=options)
    return compiled


def repeat(step: Callable[[Any, Any], Any], capacity: int, count: Any, start: Any) -> Any:
    """
    Repeat a step inside a program.

    :param step: function from the index of the step and a state to the next state
    :param capacity: largest number of steps; a program for one step has no loop, and always takes it
    :param count: number of steps, a number of the program
    :param start: state before the first step
    :return: state after the last step
    """
    import jax
    import jax.numpy as jnp

    return step(0, start) if capacity == 1 else jax.lax.fori_loop(0, count.astype(jnp.int32), step, start)


def time_program(run: Callable[[], Any], budget_seconds: float = 0.05) -> float:
    """
    Measure the processor time of a program. Elapsed time would be misleading: on a busy machine, a program is
    interrupted more often than the shorter passes that it is compared with.

    :param run: function that calls the program, which is compiled, and waits for its results
    :param budget_seconds: how long to measure; longer if three calls take longer
    :return: processor time of the fastest call in seconds
    """
    times: list[float] = []
    while len(times) < 3 or sum(times) < budget_seconds:
        began_at = time.process_time()
        run()
        times.append(time.process_time() - began_at)
    return min(times)


def to_numpy(array: Any) -> NDArray[Any]:
    """
    :param array: a JAX array
    :return: the array as a NumPy array; waits until it is computed
    """
    return np.asarray(array)
