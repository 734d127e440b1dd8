from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch

from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state


def draw() -> tuple[Any, ...]:
    # gauss() and normal() keep a second number for the next call.
    return random.gauss(0, 1), random.random(), np.random.normal(), np.random.random(), torch.randn(3).tolist()


def test_all_generators_are_restored() -> None:
    draw()
    state = pickle.loads(pickle.dumps(get_global_random_state()))
    expected = [draw() for _ in range(5)]
    set_global_random_state(state)
    assert [draw() for _ in range(5)] == expected


def test_a_state_does_not_change_with_the_generators() -> None:
    state = get_global_random_state()
    expected = draw()
    set_global_random_state(state)
    draw()
    set_global_random_state(state)
    assert draw() == expected


def test_only_existing_devices_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    restored: dict[int, list[int]] = {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.tensor([n], dtype=torch.uint8) for n in (7, 8)])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.update({device: state.tolist()}))
    state = get_global_random_state()
    assert [device.tolist() for device in state.cuda] == [[7], [8]]
    set_global_random_state(state)
    assert restored == {0: [7]}
