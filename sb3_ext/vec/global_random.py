"""The global random number generators of one process: Python's, NumPy's, and PyTorch's where it is loaded."""

# Checkpoints hold pickles that name this module.

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GlobalRandomState:
    """
    :param python: what :func:`random.getstate` returns
    :param numpy: what ``numpy.random.get_state(legacy=False)`` returns
    :param torch: bytes of PyTorch's CPU generator, ``None`` where it was not loaded
    :param cuda: bytes of each CUDA device's generator, empty where CUDA was not in use
    """

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: np.ndarray | None = None
    cuda: tuple[np.ndarray, ...] = ()


def get_global_random_state() -> GlobalRandomState:
    """
    :return: a copy of the state of every global generator of this process
    """
    numpy_state = dict(np.random.get_state(legacy=False))
    torch = sys.modules.get("torch")
    if torch is None:
        return GlobalRandomState(random.getstate(), numpy_state)
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ()
    return GlobalRandomState(
        random.getstate(),
        numpy_state,
        torch.get_rng_state().numpy().copy(),
        tuple(device.numpy().copy() for device in devices),
    )


def set_global_random_state(state: GlobalRandomState) -> None:
    """
    :param state: taken by :func:`get_global_random_state`, perhaps in another process; devices that this process does
        not have are left out
    """
    random.setstate(state.python)
    np.random.set_state(state.numpy)
    if state.torch is None:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(state.torch.copy()))
    for device, device_state in zip(range(torch.cuda.device_count()), state.cuda, strict=False):
        torch.cuda.set_rng_state(torch.from_numpy(device_state.copy()), device)
