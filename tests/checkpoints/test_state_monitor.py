from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.monitor_state import capture_monitor_files, restore_monitor_files

MakeModel = Callable[..., A2C]


@pytest.fixture
def make_model() -> Iterator[MakeModel]:
    """Its environments are closed with the test."""
    made = []

    def make(directory: Path | None, *, override_existing: bool) -> A2C:
        venv = make_vec_env(
            "CartPole-v1",
            2,
            monitor_dir=None if directory is None else str(directory),
            monitor_kwargs={"override_existing": override_existing},
            seed=1,
        )
        made.append(venv)
        return A2C("MlpPolicy", venv, policy_kwargs={"net_arch": [4]}, device="cpu")

    yield make
    for venv in made:
        venv.close()


def test_files_continue_from_the_checkpoint(
    make_model: MakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(tmp_path, override_existing=True)
    model.learn(200)
    captured = CapturedState()
    capture_monitor_files(model, captured)
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    model.learn(200)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] != contents
    with caplog.at_level(logging.WARNING):
        restore_monitor_files(make_model(tmp_path, override_existing=False), captured)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == contents
    assert caplog.messages == []


def test_lost_episodes_log_a_warning(make_model: MakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(tmp_path, override_existing=True)
    model.learn(200)
    captured = CapturedState()
    capture_monitor_files(model, captured)
    with caplog.at_level(logging.WARNING):
        restore_monitor_files(make_model(tmp_path, override_existing=True), captured)
    assert len(caplog.messages) == 2
    assert "0.monitor.csv has" in caplog.messages[0]
    assert "earlier episodes are lost" in caplog.messages[0]


def test_works_without_monitor_files(make_model: MakeModel) -> None:
    captured = CapturedState()
    model = make_model(None, override_existing=True)
    capture_monitor_files(model, captured)
    assert captured.values == {"monitor_sizes_bytes": [None, None]}
    restore_monitor_files(model, captured)
