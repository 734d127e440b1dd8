"""Arrays on the device of a model that torch writes and that programs read without a copy."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.dlpack import from_dlpack

from sb3_ext.engines.xla.shared_array import SharedArray


class DeviceArray:
    """
    Memory of a device that is a torch tensor and the argument of a program at the same time.

    torch and JAX exchange it by DLPack, which also lets each of them wait for what the other one is computing.

    :param shape: its shape
    :param device: device of the model
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.tensor = torch.zeros(shape, device=device)

    @property
    def array(self) -> Any:
        """The argument of a program: a JAX array of this memory."""
        from jax import dlpack

        return dlpack.from_dlpack(self.tensor)

    def write(self, array: Any) -> None:
        """
        Copy a result of a program.

        :param array: a JAX array of the same shape
        """
        self.tensor.copy_(from_dlpack(array))


FloatArray = SharedArray | DeviceArray


def make_float_array(shape: tuple[int, ...], device: torch.device) -> FloatArray:
    """
    :param shape: its shape
    :param device: device of the model
    :return: zeros on that device
    """
    return SharedArray(shape) if device.type == "cpu" else DeviceArray(shape, device)
