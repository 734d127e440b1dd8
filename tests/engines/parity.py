"""One update from the same state, by stock SB3 in float32, by stock SB3 in float64, and by each engine."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.distributions import normal, utils

from sb3_ext.engines.engine_registry import get_engine

TOLERANCE = 1e-5
ENGINES = ("torch", "xla")


def search_examples(
    draw: Callable[[st.DataObject], Callable[[], None]], *, seconds: float = 120.0, at_least: int = 5
) -> None:
    """
    Check random examples until the time is over. Each compiles programs, which takes seconds, so a failing example is
    reported as it was drawn: looking for a smaller one could take an hour.

    :param draw: draws an example, and returns a function that checks it
    :param seconds: time after which no further example is checked
    :param at_least: number of examples that must have been checked by then
    """
    ends_at, checked, is_failing = time.monotonic() + seconds, 0, False

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check_examples(data: st.DataObject) -> None:
        nonlocal checked, is_failing
        check = draw(data)
        if time.monotonic() < ends_at or is_failing:  # hypothesis runs a failing example once more
            try:
                check()
            except Exception:
                is_failing = True
                raise
            checked += 1

    check_examples()
    assert checked >= at_least


class RandomEnv(gymnasium.Env[Any, Any]):
    """Observations and rewards are noise; some actions are illegal."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space = copy.deepcopy(observation_space)
        self.observation_space.seed(0)
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), self.np_random.normal(), self.np_random.random() < 0.2, False, {}

    def action_masks(self) -> np.ndarray:
        counts = {
            spaces.Discrete: lambda space: [space.n],
            spaces.MultiDiscrete: lambda space: space.nvec,
            spaces.MultiBinary: lambda space: [2] * space.n,
        }[type(self.action_space)](self.action_space)
        parts = []
        for count in counts:
            mask = self.np_random.random(count) < 0.6
            mask[self.np_random.integers(count)] = True
            parts.append(mask)
        return np.concatenate(parts)


def make_filled(
    algorithm: type[BaseAlgorithm],
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    *,
    steps: int,
    num_envs: int = 2,
    device: str = "cpu",
    policy_kwargs: dict[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """Make a model that has collected ``steps`` transitions and learned nothing yet."""
    env = DummyVecEnv([lambda: RandomEnv(observation_space, action_space)] * num_envs)
    policy = "MultiInputPolicy" if isinstance(observation_space, spaces.Dict) else "MlpPolicy"
    if isinstance(observation_space, spaces.Box) and len(observation_space.shape) == 3:
        policy = "CnnPolicy"
    kwargs = {"net_arch": [8], **(policy_kwargs or {})}
    model: Any = algorithm(policy, env, seed=0, device=device, policy_kwargs=kwargs, **arguments)
    model.train = lambda *_arguments, **_keywords: None
    model.learn(steps)
    del model.train
    with torch.no_grad():  # the policy is no longer the one that has collected: ratios differ from 1
        for parameter in model.policy.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return model


State = dict[str, np.ndarray]


def make_update(model: Any, engine_id: str) -> Any:
    update = get_engine(engine_id).make_update(model)
    assert update is not None
    return update


def update_all(
    model: Any, *arguments: Any, repeats: int = 2, engines: Sequence[str] = ENGINES
) -> tuple[State, State, dict[str, State]]:
    """
    :param model: filled
    :param arguments: of ``train``
    :param repeats: updates, one after another
    :param engines: engines whose updates take the place of ``train``
    :return: weights, optimizer state and counters after stock, float64 and each engine
    """
    stock = type(model).train
    with restoring(model):
        after_stock = _run(model, lambda: stock(model, *arguments), repeats)
    with restoring(model), in_float64(model):
        after_reference = _run(model, lambda: stock(model, *arguments), repeats)
    found = {}
    for engine_id in engines:
        update = make_update(model, engine_id)
        with restoring(model):
            found[engine_id] = _run(model, partial(update, *arguments), repeats)
    return after_stock, after_reference, found


def check_parity(
    model: Any, *arguments: Any, stock_tolerance: float = 1.0, tolerance: float = 1.0, engines: Sequence[str] = ENGINES
) -> None:
    """Check that each engine leaves the model as float64 does."""
    stock, reference, found = update_all(model, *arguments, engines=engines)
    assert compare(stock, reference) < stock_tolerance * TOLERANCE  # or else the reference is wrong
    for engine_id, state in found.items():
        assert compare(state, reference) < tolerance * TOLERANCE, engine_id


def compare_logs(model: Any, *arguments: Any, engines: Sequence[str] = ENGINES) -> None:
    """Check that each engine logs what stock logs."""
    logged = []
    for train in (model.train, *(make_update(model, engine_id) for engine_id in engines)):
        with restoring(model):
            np.random.seed(1)
            torch.manual_seed(1)
            model.logger.name_to_value.clear()
            train(*arguments)
            logged.append(dict(model.logger.name_to_value))
    for found in logged[1:]:
        assert found.keys() == logged[0].keys()
        for name, value in logged[0].items():
            assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def check_measuring(model: Any, engine_id: str) -> None:
    """Check that an engine measures its update without changes of the model, its optimizer and random numbers."""
    np.random.seed(3)
    torch.manual_seed(3)
    before, draws = copy.deepcopy(read_state(model)), (np.random.get_state()[1].copy(), torch.get_rng_state())
    assert make_update(model, engine_id).measure() > 0
    after = read_state(model)
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], values) for name, values in before.items())
    np.testing.assert_array_equal(np.random.get_state()[1], draws[0])
    assert torch.equal(torch.get_rng_state(), draws[1])


def compare(found: State, reference: State) -> float:
    """:return: the largest error of any tensor, relative to the largest number in it"""
    assert found.keys() == reference.keys()
    worst = 0.0
    for name, wanted in reference.items():
        assert found[name].shape == wanted.shape, name
        assert np.isfinite(wanted).all(), name
        assert np.isfinite(found[name]).all(), name
        scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-12)
        worst = max(worst, float(np.abs(found[name] - wanted).max(initial=0.0)) / scale)
    return worst


def _run(model: Any, update: Callable[[], None], repeats: int) -> State:
    np.random.seed(5)
    torch.manual_seed(5)
    for _repeat in range(repeats):
        update()
    draws = {"random/numpy": np.random.random(3), "random/torch": torch.rand(3, dtype=torch.float32).numpy()}
    return {**read_state(model), **draws}


def read_state(model: Any) -> State:
    state: State = {"updates": np.array(float(model._n_updates))}
    names, variables = model._get_torch_save_params()
    for name in names:
        owner: Any = model
        for part in name.split("."):
            owner = getattr(owner, part)
        state |= dict(_flatten(name, owner.state_dict()))
    for name in variables:
        state[name] = getattr(model, name).detach().double().cpu().numpy().copy()
    return state


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, torch.Tensor):
        yield prefix, value.detach().double().cpu().numpy().copy()
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _flatten(f"{prefix}/{key}", member)


@contextmanager
def restoring(model: Any) -> Iterator[None]:
    """Put weights, optimizers and counters back at the end."""
    saved = copy.deepcopy(model.get_parameters())
    variables = {name: getattr(model, name).detach().clone() for name in model._get_torch_save_params()[1]}
    updates, logger = model._n_updates, dict(model.logger.name_to_value)
    try:
        yield
    finally:
        model.set_parameters(saved)
        for name, value in variables.items():
            getattr(model, name).data.copy_(value)
        model._n_updates = updates
        model.logger.name_to_value.clear()
        model.logger.name_to_value.update(logger)


@contextmanager
def in_float64(model: Any) -> Iterator[None]:
    """Let stock SB3 compute in float64, from the same float32 numbers and with the same random ones."""
    buffer = getattr(model, "replay_buffer", None) or model.rollout_buffer
    to_torch, to_float, draw = buffer.to_torch, torch.Tensor.float, normal._standard_normal
    fill = torch.Tensor.normal_

    def to_double(array: Any, copy: bool = True) -> torch.Tensor:
        tensor = to_torch(array, copy)
        return tensor.double() if tensor.is_floating_point() else tensor

    def draw_double(shape: Any, dtype: Any, device: Any) -> torch.Tensor:
        return draw(shape, torch.float32, device).double()

    def fill_double(tensor: torch.Tensor, mean: float = 0, std: float = 1) -> torch.Tensor:
        return tensor.copy_(fill(torch.empty(tensor.shape, dtype=torch.float32), mean, std))

    variables = {name: getattr(model, name) for name in model._get_torch_save_params()[1]}
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    torch.Tensor.normal_ = fill_double  # type: ignore[method-assign,assignment]
    normal._standard_normal = utils._standard_normal = draw_double
    buffer.to_torch = to_double
    model.policy.double()
    for value in variables.values():
        value.data = value.data.double()
    try:
        model.set_parameters(copy.deepcopy(model.get_parameters()))  # optimizers follow their parameters
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = to_float  # type: ignore[method-assign]
        torch.Tensor.normal_ = fill  # type: ignore[method-assign]
        normal._standard_normal = utils._standard_normal = draw
        del buffer.to_torch
        to_float_module(model)
        for value in variables.values():
            value.data = value.data.float()


def to_float_module(model: Any) -> None:
    torch.nn.Module.float(model.policy)
