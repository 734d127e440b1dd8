from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks import ProgressCallback, progress
from sb3_ext.callbacks.measures.throughput import Throughput

MakeModel = Callable[..., BaseAlgorithm]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FailAtTheEnd(BaseCallback):
    def _on_step(self) -> bool:
        if self.num_timesteps == 15:
            raise RuntimeError("broken")
        return True


def test_logs_a_line_at_an_interval_without_a_terminal(
    make_model: MakeModel, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(32, callback=ProgressCallback(total_steps=32, every_seconds=1e-9))
    lines = caplog.messages
    assert len(lines) == 33
    assert lines[15].startswith("step 16/32 (50.0%)  return ")
    assert "FPS  ETA 0:00:0" in lines[15]
    assert capsys.readouterr().err == ""


def test_logs_once_at_the_end_of_a_short_training(make_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(16, callback=ProgressCallback())
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("step 16  return ")
    assert "ETA" not in caplog.messages[0]


def test_progress_is_at_most_100_percent(make_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(10, callback=ProgressCallback(10))
    assert caplog.messages[0].startswith("step 16/10 (100.0%)  return ")


def test_no_time_left_after_an_early_end(make_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(16, callback=ProgressCallback(1000))
    assert caplog.messages[0].startswith("step 16/1000 (1.6%)  return ")
    assert "ETA" not in caplog.messages[0]


@pytest.mark.parametrize("total_steps", [32, None])
def test_shows_a_bar_in_a_terminal(
    total_steps: int | None, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress, "_BAR_EVERY_SECONDS", 0.0)
    callback = ProgressCallback(total_steps)
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(32, callback=callback)
    shown = terminal.getvalue()
    assert ("16/32" in shown) == ("32/32" in shown) == (total_steps is not None)
    assert "50%" in shown if total_steps else "16" in shown
    assert "FPS" in shown
    assert ("ETA" in shown) == (total_steps is not None)
    assert caplog.messages == []
    assert sys.stderr is terminal
    assert callback._bar is None


def test_the_bar_can_be_closed_after_an_exception(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    callback = ProgressCallback(32)
    with pytest.raises(RuntimeError, match="broken"):
        make_model("dqn").learn(32, callback=[callback, FailAtTheEnd()])
    callback.close()
    assert sys.stderr is terminal
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back
    callback.close()


def test_refuses_an_interval_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="every_seconds must be positive, but got 0"):
        ProgressCallback(every_seconds=0)


@pytest.mark.parametrize(
    ("samples", "fps", "eta_seconds"),
    [
        ([], None, None),
        ([(0, 0)], None, None),
        ([(0, 0), (0, 10)], None, None),
        ([(0, 0), (10, 50)], 5, 10),
        ([(0, 0), (10, 0)], 0, None),
        ([(0, 0), (10, 10), (50, 90)], 2, 5),
        ([(100, 0), (200, 50)], 0.5, 100),
        ([(0, 0), (10, 200)], 20, 0),
    ],
    ids=["nothing", "one", "no time", "two", "no steps", "forgets the old", "slow", "past the total"],
)
def test_throughput_measures_a_recent_window(
    samples: list[tuple[float, int]], fps: float | None, eta_seconds: float | None
) -> None:
    throughput = Throughput(window_seconds=30)
    for now, step in samples:
        throughput.add(now, step)
    assert throughput.rate == fps
    assert throughput.estimate_eta_seconds(100) == eta_seconds
    assert throughput.estimate_eta_seconds(None) is None


def test_throughput_keeps_few_samples_and_stays_correct() -> None:
    throughput = Throughput(window_seconds=10)
    for count in range(100_000):
        throughput.add(count / 1000, 2 * count)
    assert len(throughput._samples) < 120
    assert throughput.rate == pytest.approx(2000)
    assert throughput.estimate_eta_seconds(300_000) == pytest.approx((300_000 - 2 * 99_999) / 2000)
