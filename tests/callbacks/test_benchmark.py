"""Speed, memory and processor time of real trainings."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks import BenchmarkCallback
from sb3_ext.callbacks.measures.resources import ResourceUsage, ResourceWatch
from sb3_ext.phases import Phases

MakeModel = Callable[..., BaseAlgorithm]
StartPython = Callable[..., Any]

BIG_BYTES = 200 * 2**20
# The memory must be written to before it counts; the loop takes processor time until it is killed.
BIG_PROCESS = f"block = bytearray(b'1') * {BIG_BYTES}; print('ready', flush=True)\nwhile True: pass"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def list_watches() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "resource-watch"]


def test_works_without_other_callbacks_for_every_algorithm(
    algorithm: str, make_model: MakeModel, tmp_path: Path
) -> None:
    make_model(algorithm).learn(64, callback=BenchmarkCallback(tmp_path / "b.json", duration_seconds=60.0))

    found = read(tmp_path / "b.json")
    assert found["steps"] >= 64
    assert found["iterations"] > 0
    assert found["asked_seconds"] == 60.0
    assert found["fps"]["p10"] == found["fps"]["p90"] > 0
    assert found["fps"]["overall"] == pytest.approx(found["steps"] / found["duration_seconds"])
    assert found["fps"]["mean"] >= found["fps"]["overall"]
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert found["shares"]["collecting"] > 0
    assert found["shares"]["updating"] > 0
    assert found["memory"]["peak_bytes"] >= found["memory"]["mean_bytes"] > 50e6
    assert found["episodes"] >= 10
    assert found["episode_return_mean"] is not None
    assert found["machine"]["torch_threads"] == 1
    assert found["machine"]["available_cores"] >= 1
    assert {"torch", "python"} <= found["machine"]["versions"].keys()
    assert list_watches() == []


def test_evaluating_does_not_count_as_collecting(make_model: MakeModel) -> None:
    phases = Phases()
    benchmark = BenchmarkCallback(phases=phases)

    class Evaluate(BaseCallback):
        def _on_rollout_start(self) -> None:
            with phases.during("evaluating"):
                time.sleep(0.1)

        def _on_step(self) -> bool:
            return True

    model = make_model("ppo").learn(64, callback=[benchmark, Evaluate()])
    found = benchmark.summarize()
    assert found["shares"]["evaluating"] * found["duration_seconds"] >= 0.4
    assert found["fps"]["mean"] > found["fps"]["overall"]
    assert model.num_timesteps == found["steps"]


def test_resume_continues_the_measurement(make_model: MakeModel, tmp_path: Path) -> None:
    first = BenchmarkCallback()
    make_model("ppo").learn(64, callback=first)
    first_found = first.summarize()
    state = first.state_dict()

    second = BenchmarkCallback(tmp_path / "b.json")
    second.load_state_dict({**state, "elapsed_seconds": 100.0})
    model = make_model("ppo")
    model.num_timesteps = 64
    model.learn(32, callback=second, reset_num_timesteps=False)

    found = read(tmp_path / "b.json")
    assert (found["sessions"], found["steps"]) == (2, 96)
    assert found["iterations"] == first_found["iterations"] + 2
    assert found["episodes"] > first_found["episodes"]
    assert found["duration_seconds"] > 100.0
    assert found["memory"]["peak_bytes"] >= first_found["memory"]["peak_bytes"]
    assert second.state_dict()["history"]["steps"].tolist() == state["history"]["steps"].tolist() == [64]


def test_counts_from_the_step_at_which_it_starts(make_model: MakeModel) -> None:
    model = make_model("ppo").learn(64)
    benchmark = BenchmarkCallback()
    model.learn(32, callback=benchmark, reset_num_timesteps=False)
    assert benchmark.summarize()["steps"] == 32


def test_the_measurement_is_written_after_an_exception(make_model: MakeModel, tmp_path: Path) -> None:
    class Fail(BaseCallback):
        def _on_step(self) -> bool:
            raise ZeroDivisionError

    benchmark = BenchmarkCallback(tmp_path / "b.json")
    with pytest.raises(ZeroDivisionError):
        make_model("ppo").learn(64, callback=[benchmark, Fail()])
    benchmark.close()
    assert read(tmp_path / "b.json")["steps"] == 1
    assert list_watches() == []


def test_a_full_disk_loses_only_the_measurement(
    make_model: MakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "sb3_ext"):
        make_model("ppo").learn(16, callback=BenchmarkCallback(tmp_path / "missing" / "b.json"))
    assert "cannot be written: No such file" in caplog.text


def test_memory_and_time_of_children_count(start_python: StartPython) -> None:
    alone = ResourceWatch()
    alone.start()
    alone.stop()
    process = start_python(BIG_PROCESS)
    assert process.stdout.readline() == "ready\n"
    both = ResourceWatch()
    both.start()
    before = time.process_time()
    while time.process_time() < before + 0.1:  # so that the other process has had some time, too
        pass
    both.stop()
    assert both.usage.memory_peak_bytes > alone.usage.memory_peak_bytes + 0.9 * BIG_BYTES
    assert both.usage.cpu_seconds > 0.1
    assert both.usage.memory_samples >= 2
    assert max(both.usage.core_percents) > 0


def test_usage_adds_up() -> None:
    first = ResourceUsage("pss", 2, 300, 200, 10.0, 5.0, (1.0, 2.0))
    second = ResourceUsage("pss", 1, 600, 600, 30.0, 25.0, (9.0, 8.0))
    both = first.add(second)
    assert (both.memory_mean_bytes, both.memory_peak_bytes, both.cores_used) == (300, 600, 0.75)
    assert both.core_percents == [25.0, 25.0]
    moved = first.add(ResourceUsage("rss", 1, 100, 100, 10.0, 5.0, (5.0,)))
    assert (moved.memory_kind, moved.core_seconds) == ("rss", (5.0,))


def test_a_watch_continues_from_an_earlier_process() -> None:
    watch = ResourceWatch()
    state = {**watch.state_dict(), "memory_samples": 1, "memory_sum_bytes": 10**15, "memory_peak_bytes": 10**15}
    watch.load_state_dict(json.loads(json.dumps(state)))
    assert watch.usage.memory_peak_bytes == 10**15
    watch.start()
    watch.stop()
    watch.stop()
    assert watch.usage.memory_peak_bytes == 10**15
    assert watch.usage.memory_samples >= 2
