from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import sb3_ext_envs  # noqa: F401 (registers)
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.algorithms import threads
from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.algorithms.threads import measure_threads

IMAGES = spaces.Box(0, 255, (36, 36, 3), np.uint8)
DICT = spaces.Dict({"image": IMAGES, "speed": spaces.Box(-1.0, 1.0, (2,))})


@pytest.fixture(autouse=True)
def _pretend_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch only stores the number: on a busy machine, two threads that wait for each other are very slow."""
    noted = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: noted[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: noted.__setitem__(0, count))


def make_timed_model(
    name: str, observation_space: spaces.Space[Any] | None = None, num_envs: int = 2, **params: Any
) -> BaseAlgorithm:
    continuous = "Discrete" not in ALGORITHMS[name].action_spaces or "use_sde" in params
    env_params = {
        "observation_space": observation_space,
        "action_space": spaces.Box(-1.0, 1.0, (1,)) if continuous else spaces.Discrete(2),
    }
    env = make_vec_env("sb3_ext/Mock-v0", n_envs=num_envs, env_kwargs=env_params)
    kind = {"Dict": "MultiInput", "Box": "Cnn" if observation_space is IMAGES else "Mlp"}
    policy = kind.get(type(observation_space).__name__, "Mlp") + ("Lstm" if name == "recurrent_ppo" else "") + "Policy"
    if ALGORITHMS[name].is_off_policy:
        params.setdefault("buffer_size", 100)
    return ALGORITHMS[name].load_class()(policy, env, seed=0, device="cpu", **params)


def read_generators() -> list[Any]:
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_measuring_works_for_every_algorithm_and_changes_no_state(name: str) -> None:
    model = make_timed_model(name)
    weights = {key: value.clone() for key, value in model.policy.state_dict().items()}
    sample_state = str(model.observation_space.np_random.bit_generator.state)
    generators = read_generators()
    attributes = set(vars(model))
    assert measure_threads(model, budget_seconds=0.01) in {1, 2}
    assert read_generators() == generators
    assert str(model.observation_space.np_random.bit_generator.state) == sample_state
    assert torch.get_num_threads() == 2
    assert set(vars(model)) == attributes
    assert all(torch.equal(value, weights[key]) for key, value in model.policy.state_dict().items())
    assert all(parameter.grad is None for parameter in model.policy.parameters())


@pytest.mark.parametrize(
    ("name", "observation_space", "params"),
    [
        ("ppo", IMAGES, {}),
        ("dqn", DICT, {}),
        ("sac", None, {"use_sde": True}),
        ("ppo", None, {"use_sde": True}),
        ("ppo", spaces.Discrete(5), {}),
        ("a2c", spaces.MultiBinary(3), {}),
        ("recurrent_ppo", DICT, {"policy_kwargs": {"lstm_hidden_size": 8, "n_lstm_layers": 2}}),
        ("td3", None, {"train_freq": (1, "episode"), "num_envs": 1}),
        ("dqn", None, {"gradient_steps": -1}),
    ],
)
def test_measuring_works_for_every_kind_of_network(name: str, observation_space: Any, params: dict[str, Any]) -> None:
    assert measure_threads(make_timed_model(name, observation_space, **params), budget_seconds=0.01) in {1, 2}


@pytest.mark.parametrize(
    ("rounds_of_two", "chosen"),
    [
        ([0.01] * 3, 2),
        ([0.04] * 2, 1),
        ([0.019] * 2, 1),  # not clearly faster
        ([0.01, 0.9, 0.9], 1),  # a quiet moment, then other programs interrupt the two threads
        ([0.9, 0.01, 0.01, 0.01], 2),
    ],
)
def test_two_threads_must_be_clearly_faster_several_times(
    rounds_of_two: list[float], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rounds = [0.0], [0]
    set_count = torch.set_num_threads

    def forward(policy: Any, observations: Any) -> list[torch.Tensor]:
        clock[0] += 0.02 if torch.get_num_threads() == 1 else rounds_of_two[rounds[0] - 1]
        return []

    def begin(count: int) -> None:
        rounds[0] += count == 1
        set_count(count)

    monkeypatch.setattr(threads, "_forward", forward)
    monkeypatch.setattr(threads, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch, "set_num_threads", begin)
    assert measure_threads(make_timed_model("ppo"), budget_seconds=20) == chosen


def test_steps_and_minibatches_are_weighted_as_in_training() -> None:
    # 2 environments x 64 steps, minibatches of 32, 4 epochs: 64 steps for 16 minibatches.
    assert threads.count_steps_per_minibatch(make_timed_model("ppo", n_steps=64, batch_size=32, n_epochs=4)) == 4
    assert threads.count_steps_per_minibatch(make_timed_model("a2c", n_steps=5)) == 5
    assert threads.count_steps_per_minibatch(make_timed_model("dqn", train_freq=256, gradient_steps=128)) == 2


def test_real_threads_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert measure_threads(make_timed_model("dqn"), budget_seconds=0.01) in {1, 2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_is_measured_with_one_thread() -> None:
    torch.set_num_threads(1)
    assert measure_threads(make_timed_model("ppo"), budget_seconds=1000) == 1
