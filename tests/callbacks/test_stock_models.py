from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext import callbacks as our_callbacks
from sb3_ext.callbacks import (
    EpisodeBudgetCallback,
    EpisodeLoggingCallback,
    FunctionCallback,
    HeartbeatCallback,
    MetricsCallback,
    PhaseCallback,
    ProgressCallback,
    QValuesCallback,
    SignalStopCallback,
    StopFileCallback,
    TimeBudgetCallback,
    TimingsCallback,
)
from sb3_ext.phases import Phases

MakeModel = Callable[..., BaseAlgorithm]
StartPython = Callable[..., Any]

ALGORITHMS = (
    *("ppo", "a2c", "dqn", "sac", "td3", "ddpg", "maskable_ppo", "recurrent_ppo", "qrdqn", "tqc", "trpo", "ars"),
    "crossq",
)

LOAD = """
import sys
sys.modules["sb3_ext"] = sys.modules["sb3_ext_envs"] = None
import importlib
for argument in sys.argv[1:]:
    module, name, path = argument.split("|")
    model = getattr(importlib.import_module(module), name).load(path, device="cpu")
    model.predict(model.observation_space.sample())
print("loaded", len(sys.argv) - 1)
"""


class SaveAtFirstBoundaries(BaseCallback):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.paths: list[Path] = []

    def _on_rollout_start(self) -> None:
        if len(self.paths) < 2:
            self.paths.append(self._directory / f"{self.model.num_timesteps}.zip")
            self.model.save(self.paths[-1])

    def _on_step(self) -> bool:
        return True


def make_every_callback(directory: Path) -> list[BaseCallback]:
    phases = Phases()
    return [
        PhaseCallback(phases),
        TimingsCallback(phases),
        SignalStopCallback(SimpleNamespace(received=None)),
        StopFileCallback(directory / "stop"),
        TimeBudgetCallback(1000),
        EpisodeBudgetCallback(1000),
        HeartbeatCallback(directory / "status.json", phases=phases),
        QValuesCallback(1),
        FunctionCallback(lambda metrics: None),
        ProgressCallback(),
        EpisodeLoggingCallback(1),
        MetricsCallback(directory / "metrics.json"),
    ]


def test_stock_sb3_loads_a_model_trained_with_every_callback(
    make_model: MakeModel, start_python: StartPython, tmp_path: Path
) -> None:
    saved: list[str] = []
    for algorithm in ALGORITHMS:
        directory = tmp_path / algorithm
        directory.mkdir()
        saving = SaveAtFirstBoundaries(directory)
        model = make_model(algorithm)
        model.learn(40, callback=[*make_every_callback(directory), saving], log_interval=None)
        model.save(directory / "final.zip")
        name = f"{type(model).__module__}|{type(model).__name__}"
        saved += [f"{name}|{path}" for path in (*saving.paths, directory / "final.zip")]
    # One process for all: importing torch takes far longer than loading them.
    output, errors = start_python(LOAD, *saved).communicate(timeout=120)
    assert output == f"loaded {3 * len(ALGORITHMS)}\n", errors


def test_no_callback_has_the_name_of_an_sb3_callback() -> None:
    import sb3_contrib.common.maskable.callbacks
    import stable_baselines3.common.callbacks

    stock = {*vars(stable_baselines3.common.callbacks), *vars(sb3_contrib.common.maskable.callbacks)}
    assert not stock & set(our_callbacks.__all__)


def test_every_exported_name_exists() -> None:
    assert len(our_callbacks.__all__) > 20
    for name in our_callbacks.__all__:
        assert getattr(our_callbacks, name).__name__ == name


def test_importing_one_callback_does_not_import_the_others(start_python: StartPython) -> None:
    code = """
import sys
from sb3_ext.callbacks import StopFileCallback
print([name for name in sys.modules if name.startswith(("sb3_ext.callbacks.", "sb3_ext.reports", "sb3_ext.runs"))])
"""
    output, errors = start_python(code).communicate(timeout=60)
    modules = ("stops", "bases", "bases.light_callback", "bases.stop_callback", "stops.stop_file")
    assert eval(output) == [f"sb3_ext.callbacks.{name}" for name in modules], errors
