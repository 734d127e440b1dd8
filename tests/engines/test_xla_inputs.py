"""What the XLA engine hands to its programs: stock SB3's rows and noise, and memory that belongs to the model."""

from __future__ import annotations

from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import RandomEnv, make_filled
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch.distributions import Normal

from sb3_ext.engines.attachment import attaching
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine_registry import get_engine
from sb3_ext.engines.xla import jax_runtime
from sb3_ext.engines.xla.actor_critic import draw_normal
from sb3_ext.engines.xla.jax_runtime import start_jax
from sb3_ext.engines.xla.replays import ReplayMinibatches, list_arrays
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.internals.sb3 import sample_replay

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
WIDE = spaces.Box(-1, 1, (4,), np.float64)
DISCRETE = spaces.Discrete(3)
CONTINUOUS = spaces.Box(-1, 1, (2,), np.float32)
REPLAY = {"steps": 70, "learning_starts": 0, "buffer_size": 60, "batch_size": 8}  # a full buffer
FRUGAL = {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}


@pytest.fixture(autouse=True, scope="module")
def _jax() -> None:
    start_jax()


def normalize(model: Any, observation_space: spaces.Space[Any]) -> None:
    env = VecNormalize(DummyVecEnv([lambda: RandomEnv(observation_space, DISCRETE)] * 2))
    env.reset()
    for _step in range(5):
        env.step(np.zeros(2, np.int64))
    model.set_env(env)


@pytest.mark.parametrize("normalizes", [False, True])
@pytest.mark.parametrize(
    ("observation_space", "arguments"),
    [
        (VECTOR, {}),
        (WIDE, {}),
        (VECTOR, FRUGAL),
        (VECTOR, {**FRUGAL, "steps": 30}),
        (VECTOR, {"n_steps": 3}),
        (spaces.Dict({"a": WIDE, "b": DISCRETE}), {}),
    ],
)
def test_minibatches_are_those_of_stock(
    observation_space: spaces.Space[Any], arguments: dict[str, Any], normalizes: bool
) -> None:
    if normalizes and isinstance(observation_space, spaces.Dict):
        observation_space = spaces.Dict({"a": WIDE, "b": VECTOR})  # VecNormalize takes no Discrete
    model = make_filled(DQN, observation_space, DISCRETE, **{**REPLAY, **arguments})
    if normalizes:
        normalize(model, observation_space)
    np.random.seed(3)
    wanted = [sample_replay(model, 8)._asdict() for _minibatch in range(3)]
    state = np.random.random()
    np.random.seed(3)
    minibatches = ReplayMinibatches(model, 4, 8)
    minibatches.draw(3)
    assert np.random.random() == state
    for place, sample in enumerate(wanted):
        for name, values in sample.items():
            if values is None:
                assert name not in minibatches.arrays
                continue
            for rows, part in zip(list_arrays(minibatches.arrays[name]), list_arrays(values), strict=True):
                np.testing.assert_array_equal(np.asarray(rows)[place], part.numpy().astype(rows.dtype))


@pytest.mark.parametrize("batch_size", [3, 8, 21])
def test_noise_is_that_of_stock(batch_size: int) -> None:
    torch.manual_seed(2)
    shape = batch_size, 2
    wanted = [Normal(torch.zeros(shape), torch.ones(shape)).rsample() for _draw in range(6)]
    follower = torch.rand(1)
    noise = torch.zeros(3, 2, *shape)
    torch.manual_seed(2)
    draw_normal(noise)
    assert torch.equal(noise.view(6, *shape), torch.stack(wanted))
    assert torch.equal(torch.rand(1), follower)


def test_programs_see_what_torch_and_numpy_write() -> None:
    shared = SharedArray((5, 3))
    array = shared.array
    shared.tensor[1, 2] = 4.0
    shared.numpy[0, 0] = 2.0
    assert np.asarray(array)[1, 2] == 4.0
    assert np.asarray(array)[0, 0] == 2.0


def test_an_update_continues_from_weights_and_state_that_were_replaced() -> None:
    model = make_filled(DQN, VECTOR, DISCRETE, **REPLAY)
    other = make_filled(DQN, VECTOR, DISCRETE, **REPLAY)
    other.train(gradient_steps=2, batch_size=8)
    update = get_engine("xla").make_update(model)
    assert update is not None
    update(1, 8)
    model.set_parameters(other.get_parameters())
    for parameter in model.policy.parameters():
        parameter.data = parameter.data.clone()  # is no view of the engine's memory any more
    np.random.seed(4)
    update(1, 8)
    np.random.seed(4)
    other.train(gradient_steps=1, batch_size=8)
    for found, wanted in zip(model.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)
    states = [each.policy.optimizer.state_dict()["state"] for each in (model, other)]
    for place, state in states[1].items():
        assert int(state["step"]) == int(states[0][place]["step"]) == 3
        torch.testing.assert_close(states[0][place]["exp_avg"], state["exp_avg"])


def test_a_saved_model_does_not_become_larger(tmp_path: Any) -> None:
    sizes = []
    for name in ("stock", "xla"):
        model = make_filled(DQN, VECTOR, DISCRETE, **REPLAY)
        with attaching(model, get_engine(name), get_engine(name).make_update(model)):
            model.train(gradient_steps=1, batch_size=8)
            model.save(tmp_path / name)
        with ZipFile(tmp_path / f"{name}.zip") as archive:
            sizes.append({entry.filename: entry.file_size for entry in archive.infolist() if ".pth" in entry.filename})
    assert sizes[0].keys() == sizes[1].keys()
    for name, size in sizes[0].items():
        assert sizes[1][name] <= 1.1 * size, name


def test_the_training_mode_is_the_one_that_stock_sets() -> None:
    model = make_filled(SAC, VECTOR, CONTINUOUS, **REPLAY)
    modes = []
    for train in (model.train, get_engine("xla").make_update(model)):
        model.policy.set_training_mode(False)
        assert train is not None
        train(gradient_steps=1, batch_size=8)
        modes.append([module.training for module in model.policy.modules()])
    assert modes[0] == modes[1]
    assert set(modes[0]) == {True, False}  # SB3 leaves target networks as they are


def test_jax_without_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    def refuse(backend: str) -> None:
        raise RuntimeError(f"Backend '{backend}' is not in the list of known backends")

    monkeypatch.setattr(jax, "devices", refuse)
    monkeypatch.setattr(jax_runtime, "_platforms", [])
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    before = jax.config.jax_platforms
    try:
        with pytest.raises(NotCovered, match=r"JAX has no CPU device \(JAX_PLATFORMS=cuda\)"):
            start_jax()
    finally:
        jax.config.update("jax_platforms", before)
