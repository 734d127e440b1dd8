"""
Set up JAX for programs that run on the device of a model: a CPU, or a GPU with CUDA.

JAX starts threads, so it is imported only when the first program is made, after the environments, whose worker
processes may be forked.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.cache_directory import find_cache_root
from sb3_ext.engines.clock import read_clock
from sb3_ext.engines.coverage import NotCovered


def find_cache_directory() -> Path:
    """:return: directory of compiled programs, which depends on the kind of the processor"""
    return find_cache_root() / "xla" / f"{platform.machine()}-{_identify_processor()}"


def _identify_processor() -> str:
    """:return: hash of the processor's features, since machines with different processors may share a home directory"""
    try:
        found = re.findall(r"^(?:flags|Features|model name)\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        text = "\n".join(sorted(set(found)))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_platforms: list[str] = []
"""The platform for which JAX has been started in this process, if it has been."""


def start_jax(platform_name: str = "cpu") -> None:
    """
    Import JAX, configure it to cache compiled programs on the disk, and on a CPU to use one thread. Later calls do
    nothing.

    :param platform_name: type of the model's torch device
    :raises NotCovered: if JAX has no such platform, or has been started for another one
    """
    if _platforms:
        if platform_name != _platforms[0]:
            raise NotCovered(f"JAX computes on the device {_platforms[0]} in this process, not on {platform_name}")
        return
    if platform_name == "cpu":
        _start_on_cpu()
    elif platform_name == "cuda":
        _start_on_cuda()
    else:
        raise NotCovered(f"the model is on the device {platform_name}")
    _platforms.append(platform_name)
    _cache_programs()


def get_platform() -> str:
    """:return: platform for which JAX has been started"""
    return _platforms[0]


def _start_on_cpu() -> None:
    jax = _import_jax("cpu")
    # The programs take about a millisecond: handing parts of them to other threads takes longer than it saves.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    with _setting_variable("NPROC", "1"):  # XLA's number of threads
        try:
            jax.devices("cpu")
        except RuntimeError as error:
            raise NotCovered(f"JAX has no CPU device (JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')})") from error


def _start_on_cuda() -> None:
    # Without this check, JAX would stay without a device in this process.
    if not any("cuda" in point.name for point in entry_points(group="jax_plugins")):
        raise NotCovered("JAX is installed without CUDA; pip install 'sb3-ext[xla-cuda]'")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs memory, too
    jax = _import_jax("cuda,cpu")
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        raise NotCovered(f"JAX has no CUDA device: {error}") from error


def _import_jax(platforms: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's own remarks about cached programs
    import jax

    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or platforms)
    return jax


def _cache_programs() -> None:
    import jax

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

    On a CPU, the program runs on one thread, since its arrays are small and results must not depend on the load of the
    machine.

    :param function: pure function of NumPy or JAX arrays
    :param static: names of parameters that are plain values; the function is compiled again for each new value
    :return: the compiled function
    """
    import jax

    options: Any = {"xla_cpu_multi_thread_eigen": False} if get_platform() == "cpu" else None
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


def time_program(run: Callable[[], Any], device: torch.device, budget_seconds: float = 0.05) -> float:
    """
    Measure a program.

    :param run: function that calls the program, which is compiled, and waits for its results
    :param device: device of the model
    :param budget_seconds: how long to measure; longer if three calls take longer
    :return: duration of the fastest call in seconds by :func:`~sb3_ext.engines.clock.read_clock`
    """
    times: list[float] = []
    while len(times) < 3 or sum(times) < budget_seconds:
        began_at = read_clock(device)
        run()
        times.append(read_clock(device) - began_at)
    return min(times)


def to_numpy(array: Any) -> NDArray[Any]:
    """
    :param array: a JAX array
    :return: the array as a NumPy array; waits until it is computed
    """
    return np.asarray(array)
