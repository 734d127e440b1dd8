"""The clock that measures engines, which depends on the device of the model."""

from __future__ import annotations

import time

import torch

from sb3_ext.algorithms.threads import synchronize


def read_clock(device: torch.device) -> float:
    """
    Read the clock for the duration of computations, after those on a GPU have ended.

    :param device: device of the model
    :return: seconds: processor time for the CPU, because elapsed time depends on the load of the machine, and on a busy
        machine a long program is interrupted more often than the short passes that it is compared with; elapsed time
        for other devices
    """
    synchronize(device)
    return time.process_time() if device.type == "cpu" else time.perf_counter()
