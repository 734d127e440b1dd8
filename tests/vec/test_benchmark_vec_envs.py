"""``zoo_scripts/benchmark_vec_envs.py`` measures everything that it names."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Gymnasium forks, as it does by default
def test_every_contender_takes_steps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    options = ["--num-envs", "2", "--num-workers", "2", "--repeats", "1", "--seconds", "0.01"]
    monkeypatch.setattr("sys.argv", ["benchmark_vec_envs.py", *options, "--json"])

    importlib.import_module("benchmark_vec_envs").main()

    speeds = json.loads(capsys.readouterr().out)["steps_per_second"]
    assert list(speeds) == ["DummyVecEnv", "WorkerVecEnv", "SubprocVecEnv", "AsyncVectorEnv"]
    assert min(speeds.values()) > 0
