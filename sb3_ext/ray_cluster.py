"""Connect to Ray: a cluster, or a small instance on this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec

from sb3_ext.errors import MissingExtraError, Sb3ExtError

_CONNECT_SECONDS = 5.0
_TRIAL_SECONDS = 60.0
_TRIAL = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's least


class RayConnectionError(Sb3ExtError):
    """There is no Ray at an address."""


def validate_ray_installed(feature: str) -> None:
    """
    :param feature: what the user asked for
    :raises MissingExtraError: if Ray is not installed
    """
    if find_spec("ray") is None:
        raise MissingExtraError(feature, "ray")


def connect_ray(address: str | None = None, *, num_cpus: int | None = None) -> None:
    """
    Connect this process to Ray, unless it is connected.

    :param address: ``HOST:PORT`` of the head, or ``auto`` for the cluster of this machine; ``None``: the environment
        variable ``RAY_ADDRESS``, or a new instance on this machine, without a dashboard, which ends with this process
    :param num_cpus: CPUs of a new instance; ``None`` for those of this machine
    :raises RayConnectionError: if the head cannot be reached, or Ray cannot be started
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None and address != "auto":
        _check_head(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's default prints a warning
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                **quiet,
            )
            return
        ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises plain exceptions, too
        what = "Ray cannot be started on this machine" if address is None else f"no Ray at {address}"
        raise RayConnectionError(f"{what}: {_shorten(str(error))}") from error


def _check_head(address: str) -> None:
    match = re.fullmatch(r"([\w.-]+):(\d{1,5})", address)
    if match is None:
        raise RayConnectionError(f"expected the head's HOST:PORT or auto, found '{address}'")
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RayConnectionError(f"no Ray head at {address} ({error}); start one with `ray start --head`") from error
    # Ray waits forever for another service on this port, so connect in a process that can be ended.
    command = [sys.executable, "-c", _TRIAL, address]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        raise RayConnectionError(f"{address} is in use by something that does not answer as a Ray head") from None
    if trial.returncode != 0:
        reason = (trial.stderr.strip().splitlines() or ["no reason given"])[-1]
        hint = "" if "RAY_AUTH_MODE" in os.environ else "; if it uses tokens, set RAY_AUTH_MODE=token"
        raise RayConnectionError(f"the Ray head at {address} refuses this: {_shorten(reason)}{hint}")


def _shorten(text: str) -> str:
    return " ".join(text.split())[:200]
