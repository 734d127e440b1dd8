"""System values of trackers: the GPU, through a stand-in for NVIDIA's library."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from sb3_ext.callbacks.tracking_values import TrackedValuesCallback, _measure_gpu


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each GPU is used by ten times its index plus 5 percent. The process sees GPU 3 as its first one."""
    fake = ModuleType("pynvml")
    fake.nvmlInit = lambda: None  # type: ignore[attr-defined]
    fake.nvmlDeviceGetHandleByIndex = lambda index: index  # type: ignore[attr-defined]
    fake.nvmlDeviceGetUtilizationRates = lambda index: SimpleNamespace(gpu=10 * index + 5)  # type: ignore[attr-defined]
    fake.NVMLError_DriverNotLoaded = NVMLError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr("torch.cuda.pynvml", fake, raising=False)
    monkeypatch.setattr("torch.cuda._HAS_PYNVML", True)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 1000 + device.index)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    return fake


def test_memory_and_use_of_the_gpu_of_the_model(nvml: ModuleType) -> None:
    assert _measure_gpu(torch.device("cuda:0")) == {"system/gpu_memory_bytes": 1000, "system/gpu_percent": 35}
    assert _measure_gpu(torch.device("cuda:1")) == {"system/gpu_memory_bytes": 1001, "system/gpu_percent": 15}
    assert _measure_gpu(torch.device("cpu")) == {}


def test_a_gpu_that_does_not_report_its_use_costs_one_value(nvml: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(index: int) -> None:
        raise NVMLError("not supported")

    monkeypatch.setattr(nvml, "nvmlDeviceGetUtilizationRates", refuse)
    assert _measure_gpu(torch.device("cuda:0")) == {"system/gpu_memory_bytes": 1000}
    monkeypatch.setattr("torch.cuda._HAS_PYNVML", False)
    assert _measure_gpu(torch.device("cuda:0")) == {"system/gpu_memory_bytes": 1000}


def test_an_evaluation_gets_no_values() -> None:
    assert TrackedValuesCallback().measure({"eval/mean_return": 1.0}) == {}
