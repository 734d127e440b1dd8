"""CUDA graphs of updates: on a CPU with a recorder that repeats operations as a graph does; on a GPU with graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import compare_logs, make_filled, make_update, read_state, restoring
from sb3_contrib import QRDQN, TQC, MaskablePPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from tape import Tape, check_replays, record_on_cpu

from sb3_ext.engines.torch_updates import minibatch_graph

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")  # the last one is shorter

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
PLANE = spaces.Box(-1, 1, (2,), np.float32)
MIXED = spaces.Dict({"place": VECTOR, "speed": PLANE})
DISCRETE = spaces.Discrete(3)
ROLLOUT = {"steps": 40, "n_steps": 20, "batch_size": 16, "n_epochs": 2}  # two minibatches of 16 rows and one of 8
REPLAY = {"steps": 70, "learning_starts": 0, "buffer_size": 60, "batch_size": 8}
CHECKS = 1  # replays of a new graph that are compared with a step without it
RATE = 2.0**-9  # a 32-bit number, as the tensor from which a graph reads it


def fall_from(start: float) -> Callable[[float], float]:
    return lambda left: start * left


def choose_rate(left: float) -> float:
    return RATE if left > 0.9 else RATE / 2


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Recordings of updates on the CPU."""
    return record_on_cpu(monkeypatch)


@pytest.mark.parametrize(
    ("algorithm", "actions", "settings"),
    [
        (
            PPO,
            PLANE,
            {"clip_range_vf": lambda left: 0.1 * left, "clip_range": lambda left: 0.2 * left, "ent_coef": 0.1},
        ),
        (MaskablePPO, DISCRETE, {"normalize_advantage": False}),
        (A2C, DISCRETE, {"batch_size": None, "n_epochs": None, "steps": 10, "n_steps": 5}),
    ],
)
def test_replays_of_on_policy_updates(
    tapes: list[Tape], algorithm: Any, actions: spaces.Space[Any], settings: dict[str, Any]
) -> None:
    arguments = {name: value for name, value in {**ROLLOUT, **settings}.items() if value is not None}
    model = make_filled(
        algorithm, VECTOR, actions, learning_rate=lambda left: RATE if left > 0.9 else RATE / 2, **arguments
    )
    check_replays(model)
    # New rates and ranges are read by the same graph; the last minibatch of PPO's epochs is learned from without it.
    assert [tape.replays for tape in tapes] == [CHECKS + (3 if algorithm is A2C else 3 * 2 * 2)]


@pytest.mark.parametrize("algorithm", [DQN, QRDQN])
def test_replays_of_off_policy_updates(tapes: list[Tape], algorithm: Any) -> None:
    model = make_filled(algorithm, MIXED, DISCRETE, learning_rate=RATE, **REPLAY)
    check_replays(model, 1, 8)
    assert [tape.replays for tape in tapes] == [CHECKS + 3]


@pytest.mark.parametrize(
    ("algorithm", "settings", "graphs"),
    [
        (SAC, {"target_update_interval": 2}, 1),
        (SAC, {"ent_coef": 0.1}, 1),
        (TQC, {}, 1),
        (TD3, {"policy_delay": 2}, 2),  # the steps of the critics, and those of the actor
        (DDPG, {}, 2),
    ],
)
def test_replays_of_off_policy_actor_critic_updates(
    tapes: list[Tape], algorithm: Any, settings: dict[str, Any], graphs: int
) -> None:
    torch.manual_seed(1)
    model = make_filled(algorithm, MIXED, PLANE, learning_rate=RATE, **REPLAY, **settings)
    check_replays(model, 4, 8)
    delay = getattr(model, "policy_delay", 1)
    assert [tape.replays for tape in tapes] == [CHECKS + 12, CHECKS + 12 // delay][:graphs]


def test_other_constants_and_moved_weights_are_recorded_anew(tapes: list[Tape]) -> None:
    model = make_filled(DQN, VECTOR, DISCRETE, learning_rate=RATE, **REPLAY)

    def change(model: Any, place: int) -> None:
        if place == 1:
            weight = model.q_net_target.q_net[0].weight
            weight.data = weight.data + 0.1
        else:
            model.gamma = 0.5 if place == 0 else 0.99

    check_replays(model, 1, 8, change=change)
    assert [tape.replays for tape in tapes] == [CHECKS + 1] * 3


def test_measuring_a_graph_changes_neither_the_model_nor_random_numbers(tapes: list[Tape]) -> None:
    model = make_filled(PPO, VECTOR, DISCRETE, **ROLLOUT)
    before = {name: values.copy() for name, values in read_state(model).items()}
    draws = torch.get_rng_state()
    assert make_update(model, "torch").measure() > 0
    assert tapes[0].replays > 0
    assert all(np.array_equal(values, before[name]) for name, values in read_state(model).items())
    assert torch.equal(torch.get_rng_state(), draws)


def test_an_update_that_cannot_be_recorded_runs_without_a_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(function: Callable[[], None], device: torch.device) -> Callable[[], None]:
        function()
        raise RuntimeError("operation not permitted when stream is capturing\nmore lines of CUDA")

    monkeypatch.setitem(minibatch_graph.RECORDERS, "cpu", fail)
    model = make_filled(DQN, VECTOR, DISCRETE, learning_rate=RATE, **REPLAY)
    check_replays(model, 3, 8)
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line == "updates run without a CUDA graph: operation not permitted when stream is capturing"


def test_a_graph_that_computes_something_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(minibatch_graph.RECORDERS, "cpu", lambda function, device: lambda: None)
    model = make_filled(DQN, VECTOR, DISCRETE, learning_rate=RATE, **REPLAY)
    check_replays(model, 3, 8)
    assert "updates run without a CUDA graph: a replay leaves other weights" in caplog.messages


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"target_kl": 0.01}, "target_kl may stop an update after any minibatch"),
        (
            {"policy_kwargs": {"optimizer_class": torch.optim.SGD}},
            "an optimizer, or one of its options, has no step on flat arrays",
        ),
    ],
)
def test_what_is_not_recorded_is_logged(
    tapes: list[Tape], caplog: pytest.LogCaptureFixture, settings: dict[str, Any], reason: str
) -> None:
    caplog.set_level(logging.INFO)
    model = make_filled(PPO, VECTOR, DISCRETE, **ROLLOUT, **settings)
    with restoring(model):
        make_update(model, "torch")()
    assert f"updates run without a CUDA graph: {reason}" in caplog.messages
    assert tapes == []


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("algorithm", "filling", "arguments"),
    [
        (PPO, ROLLOUT, ()),
        (A2C, {"steps": 10, "n_steps": 5}, ()),
        (DQN, REPLAY, (3, 8)),
        (SAC, REPLAY, (3, 8)),
        (TD3, REPLAY, (3, 8)),
    ],
)
def test_updates_on_a_gpu_are_recorded_and_those_of_stock(
    caplog: pytest.LogCaptureFixture, algorithm: Any, filling: dict[str, Any], arguments: tuple[int, ...]
) -> None:
    actions = PLANE if algorithm in (SAC, TD3) else DISCRETE
    model = make_filled(algorithm, VECTOR, actions, device="cuda", **filling)
    update, states = make_update(model, "torch"), []
    for train in (model.train, update):
        with restoring(model):
            np.random.seed(1)
            torch.manual_seed(1)
            train(*arguments)
            states.append(read_state(model))
    expected, found = states
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    compare_logs(model, *arguments, engines=["torch"])
    assert "without a CUDA graph" not in caplog.text
