"""Engines by their names, what they cover, and what they leave of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import ENGINES, check_parity, compare, make_filled, make_update, read_state
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from sb3_ext.algorithms.threads import using_threads
from sb3_ext.engines import engine, engine_choice
from sb3_ext.engines.attachment import attaching, get_engine_id
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine import Update
from sb3_ext.engines.engine_choice import choose_engine
from sb3_ext.engines.engine_registry import get_engine
from sb3_ext.engines.torch_engine import TorchEngine
from sb3_ext.engines.xla import xla_updates
from sb3_ext.engines.xla.jax_runtime import find_cache_directory
from sb3_ext.engines.xla_engine import XlaEngine
from sb3_ext.errors import ConfigError, MissingExtraError

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
KEYS = {"steps": 32, "n_steps": 16, "batch_size": 16, "n_epochs": 2}


class OwnPolicy(ActorCriticPolicy):
    """Evaluates actions in its own way."""

    def evaluate_actions(self, obs: Any, actions: Any) -> Any:
        return super().evaluate_actions(obs, actions)


class OwnPPO(PPO):
    """Updates in its own way."""

    def train(self) -> None:
        super().train()


class Dropping(nn.Dropout):
    """What no program knows."""


def make_model(algorithm: Any = PPO, action_space: spaces.Space[Any] | None = None, **arguments: Any) -> Any:
    return make_filled(algorithm, VECTOR, action_space or spaces.Discrete(3), **{**KEYS, **arguments})


def refuse(model: Any, engine_id: str = "xla") -> str:
    with pytest.raises(NotCovered) as caught:
        get_engine(engine_id).make_update(model)
    return caught.value.reason


def test_what_xla_does_not_cover_is_refused_with_the_reason() -> None:
    box = spaces.Box(-1, 1, (2,), np.float32)
    assert refuse(make_model(action_space=box, use_sde=True)) == "exploration is state-dependent (use_sde)"
    assert refuse(make_model(OwnPPO)) == "there is no program for OwnPPO"
    assert refuse(make_model(policy_kwargs={"activation_fn": Dropping})) == "the network has a Dropping"
    sgd = {"optimizer_class": torch.optim.SGD}
    assert refuse(make_model(policy_kwargs=sgd)) == "the optimizer is SGD"
    amsgrad = {"optimizer_kwargs": {"amsgrad": True}}
    assert refuse(make_model(policy_kwargs=amsgrad)) == "Adam has amsgrad=True"
    model = make_model()
    model.policy.__class__ = OwnPolicy
    assert refuse(model) == "the policy is a OwnPolicy, which evaluates actions in its own way"
    trpo = make_filled(TRPO, VECTOR, spaces.Discrete(3), steps=32, n_steps=16, batch_size=16)
    assert refuse(trpo) == "there is no program for TRPO"


def test_what_torch_does_not_cover_is_refused_with_the_reason() -> None:
    box = spaces.Box(-1, 1, (2,), np.float32)
    assert refuse(make_model(action_space=box, use_sde=True), "torch") == "exploration is state-dependent (use_sde)"
    assert refuse(make_model(OwnPPO), "torch") == "there is no update for OwnPPO"
    model = make_model()
    model.policy.__class__ = OwnPolicy
    assert refuse(model, "torch") == "the policy is a OwnPolicy, which evaluates actions in its own way"


def test_torch_uses_autograd_for_modules_and_optimizers_that_it_does_not_know() -> None:
    own = {"activation_fn": nn.Softsign, "optimizer_class": torch.optim.NAdam}
    check_parity(make_model(policy_kwargs=own), engines=["torch"])


@pytest.mark.parametrize("engine_id", ENGINES)
def test_a_model_that_an_engine_updates_is_saved_as_a_stock_model(tmp_path: Path, engine_id: str) -> None:
    model = make_model()
    model.save(tmp_path / "before")
    with attaching(model, engine_id, make_update(model, engine_id)):
        assert get_engine_id(model) == engine_id
        model.save(tmp_path / "during")
        model.train()
        model.save(tmp_path / "after")
    assert get_engine_id(model) == "stock"
    assert not {"train", "_excluded_save_params"} & vars(model).keys()
    names = []
    for name in ("before", "during", "after"):
        with ZipFile(tmp_path / f"{name}.zip") as archive:
            names.append(json.loads(archive.read("data")).keys())
    assert names[0] == names[1] == names[2]
    loaded = PPO.load(tmp_path / "after", device="cpu")
    for found, wanted in zip(loaded.policy.parameters(), model.policy.parameters(), strict=True):
        assert torch.equal(found, wanted)
    states = [each.policy.optimizer.state_dict()["state"] for each in (loaded, model)]
    assert states[0].keys() == states[1].keys() != set()
    for place, state in states[1].items():
        assert all(torch.equal(states[0][place][name], value) for name, value in state.items())


@pytest.mark.parametrize("engine_id", ENGINES)
def test_stock_training_continues_after_an_engine(engine_id: str) -> None:
    model = make_model()
    with attaching(model, engine_id, make_update(model, engine_id)):
        model.train()
    before = read_state(model)
    model.train()
    assert compare(read_state(model), before) > 1e-6
    steps = {int(state["step"]) for state in model.policy.optimizer.state.values()}
    assert steps == {8}  # two updates of two epochs with two minibatches


def test_making_an_update_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    class DrawingUpdate:
        algorithms = (PPO,)

        def __init__(self, model: Any) -> None:
            np.random.random()  # as JAX does when it is imported

    monkeypatch.setattr(xla_updates, "UPDATES", [DrawingUpdate])
    model = make_model()
    np.random.seed(4)
    get_engine("xla").make_update(model)
    drawn = np.random.random()
    np.random.seed(4)
    assert np.random.random() == drawn


def test_an_unknown_engine_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"agent\.engine: unknown engine 'xlaa'; did you mean 'xla'\?"):
        get_engine("xlaa")
    with pytest.raises(ConfigError, match=r"agent\.engine: 'json:JSONDecoder' is not a subclass"):
        get_engine("json:JSONDecoder")


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"agent\.engine: xla needs .* pip install 'sb3-ext\[xla\]'"):
        choose_engine("xla", make_model(), num_steps=100)
    assert choose_engine("auto", make_model(), num_steps=10**9).engine.id != "xla"


def test_an_engine_that_does_not_cover_the_model_leaves_it_to_torch(caplog: pytest.LogCaptureFixture) -> None:
    chosen = choose_engine("xla", make_model(OwnPPO), num_steps=100)
    assert (chosen.engine.id, chosen.update) == ("torch", None)
    reason = "xla cannot update this model: there is no program for OwnPPO"
    assert f"engine: torch with SB3's own train, since {reason}" in caplog.text
    assert len(caplog.records) == 1


class FakeUpdate(Update):
    """Takes a known time; the measurements give the times in turn, the last one again and again."""

    def __init__(self, *milliseconds: float) -> None:
        self._milliseconds = list(milliseconds)
        self.threads: list[int] = []

    def __call__(self) -> None:
        """Does nothing."""

    def measure(self) -> float:
        self.threads.append(torch.get_num_threads())
        return (self._milliseconds.pop(0) if len(self._milliseconds) > 1 else self._milliseconds[0]) / 1e3


@pytest.mark.parametrize(
    ("num_steps", "stock", "torch", "xla", "chosen"),
    [
        (1_000, 3.0, 1.0, 0.5, "stock"),
        (10**9, 3.0, 1.0, 0.5, "xla"),
        (10**9, 3.0, 0.5, 1.0, "torch"),
        (10**9, 1.0, 2.0, 3.0, "stock"),
        (10**9, 3.0, None, 2.0, "xla"),
        (10**9, 3.0, None, None, "stock"),
        (60_000, 3.0, 1.0, 0.5, "torch"),  # 7,500 minibatches: too few to compile for
    ],
)
def test_auto_takes_the_fastest_engine(
    monkeypatch: pytest.MonkeyPatch, num_steps: int, stock: float, torch: float | None, xla: float | None, chosen: str
) -> None:
    times = {TorchEngine: torch, XlaEngine: xla}
    for engine_class, milliseconds in times.items():

        def make_update(self: Any, model: Any, milliseconds: float | None = milliseconds) -> FakeUpdate:
            if milliseconds is None:
                raise NotCovered("not this one")
            return FakeUpdate(milliseconds)

        monkeypatch.setattr(engine_class, "make_update", make_update)
    monkeypatch.setattr(engine_choice, "_make_stock_timer", lambda model: lambda: stock / 1e3)
    choice = choose_engine("auto", make_model(), num_steps=num_steps)
    assert choice.engine.id == chosen
    assert (choice.update is None) == (chosen == "stock")
    assert choice.engine.collects_fast == (chosen != "stock")


@pytest.mark.parametrize(
    ("stock_times", "torch_times", "chosen"),
    [
        ([3.79], [93.32, 1.2], "torch"),  # a factor of 25 is the load of the machine
        ([3.79], [93.32, 93.32], "stock"),
        ([40.0, 1.0], [2.0], "stock"),
    ],
)
def test_a_measurement_that_other_programs_disturb_does_not_decide(
    monkeypatch: pytest.MonkeyPatch, stock_times: list[float], torch_times: list[float], chosen: str
) -> None:
    stock, update = FakeUpdate(*stock_times), FakeUpdate(*torch_times)
    monkeypatch.setattr(TorchEngine, "make_update", lambda self, model: update)
    monkeypatch.setattr(XlaEngine, "is_installed", lambda self: False)
    monkeypatch.setattr(engine_choice, "_make_stock_timer", lambda model: stock.measure)
    with using_threads(2):
        assert choose_engine("auto", make_model(), num_steps=10**9).engine.id == chosen
    assert {*stock.threads, *update.threads} == {1}  # the processor time of two would count how they wait


def test_auto_does_not_compare_engines_on_other_devices_than_cpu_and_cuda(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = make_model()
    model.device = torch.device("mps")
    assert choose_engine("auto", model, num_steps=10**9).engine.id == "stock"
    assert "engine: stock; engines are not compared on the device mps" in caplog.text


def test_auto_does_not_measure_convolutions_of_xla(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_choice, "_MIN_SECONDS", 0.0)
    caplog.set_level("INFO")
    model = make_filled(PPO, spaces.Box(0, 255, (1, 36, 36), np.uint8), spaces.Discrete(3), **KEYS)
    assert choose_engine("auto", model, num_steps=10**9).engine.id != "xla"
    assert "xla: its convolutions are slow on a CPU" in caplog.text


def test_compiled_programs_are_kept_by_kind_of_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SB3_EXT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache_directory().parent == tmp_path / "sb3_ext" / "xla"
    monkeypatch.setenv("SB3_EXT_CACHE", str(tmp_path / "own"))
    assert find_cache_directory().parent == tmp_path / "own" / "xla"
