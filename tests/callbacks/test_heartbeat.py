from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes

from sb3_ext.callbacks import EpisodeBudgetCallback, HeartbeatCallback, PhaseCallback, heartbeat
from sb3_ext.phases import Phases
from sb3_ext.runs.status import RunStatus, StatusFile, read_status

MakeModel = Callable[..., BaseAlgorithm]


class RecordingStatusFile(StatusFile):
    """Keeps every status that was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RunStatus.begin())
        self.written: list[RunStatus] = []

    def write(self, *, durable: bool = False) -> None:
        super().write(durable=durable)
        self.written.append(self.status)


@pytest.fixture
def status(tmp_path: Path) -> RecordingStatusFile:
    return RecordingStatusFile(tmp_path / "status.json")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the heart beat as often as it likes, so that tiny trainings show every beat."""
    monkeypatch.setattr(heartbeat, "_MIN_SECONDS_BETWEEN_BEATS", 0.0)


class SlowStep(BaseCallback):
    """Makes every environment step, or every end of a rollout, take some time."""

    def __init__(self, step_seconds: float = 0.0, rollout_end_seconds: float = 0.0) -> None:
        super().__init__()
        self._step_seconds = step_seconds
        self._rollout_end_seconds = rollout_end_seconds

    def _on_step(self) -> bool:
        time.sleep(self._step_seconds)
        return True

    def _on_rollout_end(self) -> None:
        time.sleep(self._rollout_end_seconds)


def test_works_with_every_algorithm(algorithm: str, make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    model = make_model(algorithm).learn(40, callback=HeartbeatCallback(path, total_steps=40))
    status = read_status(path)
    assert (status.status, status.phase, status.stop_reason) == ("completed", "finished", "total_steps")
    assert status.step == model.num_timesteps
    assert status.total_steps == 40
    assert status.episode == model.num_timesteps // 5
    assert status.eta_seconds == 0
    assert status.fps is not None
    assert status.fps > 0
    assert status.episode_return_mean is not None
    assert -5 < status.episode_return_mean < 5
    assert status.owner is not None
    assert status.owner.is_alive()
    expected = model.exploration_rate if algorithm in {"dqn", "qrdqn"} else None
    assert status.epsilon == expected


def test_an_early_end_is_written_as_stopped(make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    make_model("dqn").learn(100, callback=[StopTrainingOnMaxEpisodes(2), HeartbeatCallback(path)])
    status = read_status(path)
    assert (status.status, status.step, status.stop_reason) == ("stopped", 10, None)


def test_does_not_end_a_given_status(make_model: MakeModel, status: RecordingStatusFile) -> None:
    make_model("ppo").learn(16, callback=HeartbeatCallback(status))
    assert status.status.status == "running"
    assert status.status.stop_reason is None


@pytest.mark.usefixtures("unhurried")
def test_writes_at_the_interval_of_steps(make_model: MakeModel, status: RecordingStatusFile) -> None:
    make_model("ppo", n_steps=128, n_epochs=1, batch_size=128).learn(128, callback=HeartbeatCallback(status, 25))
    collecting = [written.step for written in status.written if written.phase == "collecting"]
    assert collecting == [0, 25, 50, 75, 100, 125]


@pytest.mark.usefixtures("unhurried")
def test_writes_during_an_update(make_model: MakeModel, status: RecordingStatusFile) -> None:
    make_model("ppo", n_epochs=5).learn(16, callback=HeartbeatCallback(status))
    updating = [written for written in status.written if written.phase == "updating"]
    assert len(updating) == 1 + 5  # the change of phase, and one minibatch an epoch


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(("algorithm", "optimizers"), [("sac", 3), ("td3", 2), ("dqn", 1), ("ars", 0)])
def test_hooks_every_optimizer_and_removes_the_hooks(
    algorithm: str, optimizers: int, make_model: MakeModel, status: RecordingStatusFile
) -> None:
    model = make_model(algorithm)
    callback = HeartbeatCallback(status)
    hooked: list[int] = []

    class CountHooks(BaseCallback):
        def _on_step(self) -> bool:
            hooked.append(sum(len(hook.hooks_dict_ref()) for hook in callback._optimizer_hooks))  # type: ignore[misc]
            return True

    model.learn(24, callback=[callback, CountHooks()])
    assert hooked[0] == optimizers
    assert callback._optimizer_hooks == []
    assert not any(optimizer._optimizer_step_post_hooks for optimizer in heartbeat._list_optimizers(model))
    assert callback._phases.listeners == []


def test_writes_at_most_once_a_second(make_model: MakeModel, status: RecordingStatusFile) -> None:
    started_at = time.monotonic()
    make_model("dqn").learn(600, callback=[SlowStep(0.001), HeartbeatCallback(status, every_steps=1)])
    assert len(status.written) <= (time.monotonic() - started_at) + 3  # at the start and at the end too


def test_writes_in_time_with_slow_steps(
    make_model: MakeModel, status: RecordingStatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_MIN_SECONDS_BETWEEN_BEATS", 0.1)
    monkeypatch.setattr(heartbeat, "_MAX_SECONDS_BETWEEN_BEATS", 0.3)
    make_model("ppo").learn(16, callback=[SlowStep(0.1), HeartbeatCallback(status, every_steps=10**6)])
    assert len([written for written in status.written if 0 < written.step < 16]) >= 3


def test_writes_rare_phases_at_once(make_model: MakeModel, status: RecordingStatusFile) -> None:
    phases = Phases()

    class Evaluate(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            with phases.during("evaluating"):
                assert read_status(status.path).phase == "evaluating"

    callbacks = [PhaseCallback(phases), HeartbeatCallback(status, phases=phases), Evaluate()]
    make_model("ppo").learn(64, callback=callbacks)
    assert [written.phase for written in status.written].count("evaluating") == 4


def test_no_eta_without_a_total(make_model: MakeModel, status: RecordingStatusFile) -> None:
    make_model("ppo").learn(32, callback=HeartbeatCallback(status))
    assert status.status.total_steps is None
    assert status.status.eta_seconds is None


def test_resume_continues_the_counts(make_model: MakeModel, status: RecordingStatusFile) -> None:
    callback = HeartbeatCallback(status)
    callback.load_state_dict({"episodes": 100})
    make_model("dqn").learn(10, callback=callback)
    assert status.status.episode == 102
    assert callback.state_dict() == {"episodes": 102}


@pytest.mark.usefixtures("unhurried")
def test_file_is_complete_strict_json(make_model: MakeModel, status: RecordingStatusFile) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    class ReadBack(BaseCallback):
        def _on_step(self) -> bool:
            content = json.loads(status.path.read_text(), parse_constant=refuse)
            assert content["step"] == self.num_timesteps
            return True

    make_model("sac").learn(50, callback=[HeartbeatCallback(status, every_steps=1), ReadBack()])


def test_refuses_an_interval_that_is_not_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_steps must be positive, but got 0"):
        HeartbeatCallback(tmp_path / "status.json", every_steps=0)


def test_a_budget_of_episodes_decides_when_it_ends_the_training_first(
    make_model: MakeModel, status: RecordingStatusFile, unhurried: None
) -> None:
    budget = EpisodeBudgetCallback(4)
    callback = HeartbeatCallback(status, every_steps=1, total_steps=10**6, budgets=[budget])
    make_model("ppo").learn(10**6, callback=[callback, budget, SlowStep(0.001)])
    written = {record.episode: record for record in status.written if record.phase == "collecting"}
    assert [written[count].used_share for count in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert written[3].eta_seconds is not None
    assert written[3].eta_seconds < 60  # the steps would take a quarter of an hour or more
    assert (written[3].share, written[3].nearest_total_steps) == (0.75, None)
    assert status.status.share == 1.0
