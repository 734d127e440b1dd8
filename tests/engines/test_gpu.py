"""Models on a GPU, as far as a CPU can show: arrays shared by torch and JAX, the clock, and the choice of engines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import check_parity, compare_logs, make_filled
from stable_baselines3 import DQN, PPO, SAC

from sb3_ext.engines import engine_choice
from sb3_ext.engines.clock import read_clock
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine_choice import choose_engine
from sb3_ext.engines.engine_registry import get_engine
from sb3_ext.engines.xla import actor_critic, device_array, jax_runtime, shared_array, tensor_groups

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
DISCRETE = spaces.Discrete(3)
ROLLOUT = {"steps": 32, "n_steps": 16, "batch_size": 16, "n_epochs": 2}
REPLAY = {"steps": 70, "learning_starts": 0, "buffer_size": 60, "batch_size": 8}


@pytest.mark.parametrize(
    ("algorithm", "action_space", "filling", "arguments"),
    [
        (PPO, DISCRETE, ROLLOUT, ()),
        (DQN, DISCRETE, REPLAY, (3, 8)),
        (SAC, spaces.Box(-1, 1, (2,), np.float32), REPLAY, (3, 8)),
    ],
)
def test_updates_with_arrays_of_a_device_are_those_of_stock(
    monkeypatch: pytest.MonkeyPatch,
    algorithm: Any,
    action_space: spaces.Space[Any],
    filling: dict[str, Any],
    arguments: tuple[int, ...],
) -> None:
    jax_runtime.start_jax()
    used: list[device_array.DeviceArray] = []

    def make(shape: tuple[int, ...], device: torch.device) -> device_array.DeviceArray:
        used.append(device_array.DeviceArray(shape, device))
        return used[-1]

    monkeypatch.setattr(tensor_groups, "make_float_array", make)
    monkeypatch.setattr(actor_critic, "make_float_array", make)
    monkeypatch.setattr(shared_array, "get_platform", lambda: "cuda")
    model = make_filled(algorithm, VECTOR, action_space, **filling)
    check_parity(model, *arguments, engines=["xla"])
    compare_logs(model, *arguments, engines=["xla"])
    assert used


def test_xla_needs_jax_with_cuda_for_a_model_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_filled(PPO, VECTOR, DISCRETE, **ROLLOUT)
    model.device = torch.device("cuda")
    monkeypatch.setattr(jax_runtime, "_platforms", [])
    monkeypatch.setattr(jax_runtime, "entry_points", lambda group: [])
    reason = r"JAX is installed without CUDA; pip install 'sb3-ext\[xla-cuda\]'"
    with pytest.raises(NotCovered, match=reason):
        get_engine("xla").make_update(model)
    monkeypatch.setattr(jax_runtime, "_platforms", ["cpu"])
    assert choose_engine("xla", model, num_steps=100).engine.id == "torch"
    [line] = [record.getMessage() for record in caplog.records if "xla cannot update" in record.getMessage()]
    assert line.endswith("JAX computes on the device cpu in this process, not on cuda")


def test_a_gpu_that_jax_does_not_find_leaves_the_model_to_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def find_devices(platform: str) -> list[Any]:
        raise RuntimeError(f"Unknown backend {platform}")

    def import_jax(platforms: str) -> Any:
        asked.append(platforms)
        return SimpleNamespace(devices=find_devices)

    model = make_filled(PPO, VECTOR, DISCRETE, **ROLLOUT)
    model.device = torch.device("cuda:1")
    asked: list[str] = []
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # which it sets, too
    monkeypatch.setattr(jax_runtime, "_platforms", [])
    monkeypatch.setattr(jax_runtime, "entry_points", lambda group: [SimpleNamespace(name="xla_cuda12")])
    monkeypatch.setattr(jax_runtime, "_import_jax", import_jax)
    assert choose_engine("xla", model, num_steps=100).engine.id == "torch"
    assert asked == ["cuda,cpu"]
    [line] = [record.getMessage() for record in caplog.records if "xla cannot update" in record.getMessage()]
    assert line.endswith("JAX has no CUDA device: Unknown backend cuda")


def test_the_clock_waits_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    assert read_clock(torch.device("cuda")) > 0
    assert read_clock(torch.device("cpu")) > 0
    assert waited == [torch.device("cuda")]


def test_auto_compares_engines_on_a_gpu_also_for_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    space = spaces.Box(0, 255, (3, 36, 36), np.uint8)
    model = make_filled(PPO, space, DISCRETE, **ROLLOUT)
    compared = []

    def refuse(engine: Any, model: Any) -> None:
        compared.append(engine.id)
        raise NotCovered("not this one")

    for name in ("torch", "xla"):
        monkeypatch.setattr(type(get_engine(name)), "make_update", refuse)
    monkeypatch.setattr(engine_choice, "_make_stock_timer", lambda model: lambda: 1.0)
    for device in ("cpu", "cuda"):
        model.device = torch.device(device)
        assert choose_engine("auto", model, num_steps=10**9).engine.id == "stock"
    assert compared == ["torch", "torch", "xla"]
