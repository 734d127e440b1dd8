"""A service that is down, slow or back again: nothing is missing, nothing is there twice, training is not disturbed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.delivery_states import load_states
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker import TrackedRun, Tracker

from .conftest import ForgetfulTracker, Service, ServiceTracker

DOWN = ConnectionError("no route to http://me:secret@host")


class Training:
    """Logs a value a step, and saves a checkpoint when told to."""

    def __init__(self, root: Path, trackers: Mapping[str, Tracker], step: int | None = None, **start: Any) -> None:
        self.step = step or 0
        folder = root / "tracking"
        self.trackers = RunTrackers(trackers, folder / "journal.jsonl", folder / "state.json", lambda: self.step)
        self.trackers.start(TrackedRun("run", root, step=step), {"seed": 1}, **start)

    def train(self, until: int) -> None:
        while self.step < until:
            self.step += 1
            self.trackers.log_metrics({"loss": 1 / self.step}, self.step)

    def save(self) -> None:
        self.trackers.mark_durable(self.step)

    def finish(self, status: str = "completed") -> None:
        self.trackers.finish(status, {"stop_reason": "total_steps"})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(training: Training) -> None:
    """What a killed process leaves: threads that send nothing any more."""
    for delivery in training.trackers._deliveries:
        delivery._abandoned.set()
        delivery.wake()


def test_a_run_is_logged_in_order_and_finished(tmp_path: Path, service: Service) -> None:
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    (tmp_path / "a.txt").write_text("text")
    training.trackers.log_artifacts([tmp_path / "a.txt", tmp_path / "missing.txt"], tmp_path)
    training.finish()

    [(first, *others)] = service.runs.values()
    assert first == ("start", None)
    assert [entry[:2] for entry in others] == [
        *(("metrics", 1), ("metrics", 2), ("metrics", 3), ("artifact", "a.txt"), ("finish", "completed"))
    ]
    assert others[-1][2] == {"stop_reason": "total_steps"}
    state = json.loads((tmp_path / "tracking" / "state.json").read_text())["memory"]
    assert (state["id"], state["url"]) == ("run-0", "memory://run-0")
    assert training.trackers.ids == {"memory": "run-0"}


def test_nothing_beyond_the_last_checkpoint_is_sent(tmp_path: Path, service: Service) -> None:
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    training.train(5)
    wait_until(lambda: len(service.get_steps()) == 3)
    training.finish("stopped")
    assert service.get_steps() == [1, 2, 3]
    assert service.runs["run-0"][-1][:2] == ("finish", "stopped")


def test_killed_five_times_the_history_is_that_of_one_run(tmp_path: Path, service: Service) -> None:
    step: int | None = None
    for checkpoint in (4, 7, 9, 12, 20):
        training = Training(tmp_path, {"memory": ServiceTracker(service)}, step)
        training.train(checkpoint)
        training.save()
        training.train(checkpoint + 3)  # lost
        kill(training)
        step = checkpoint
    training = Training(tmp_path, {"memory": ServiceTracker(service)}, step)
    training.train(25)
    training.save()
    training.finish()

    assert service.runs.keys() == {"run-0"}
    assert service.get_steps() == [*range(1, 26)]


def test_what_was_sent_just_before_a_kill_is_recognised(tmp_path: Path, service: Service) -> None:
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    training.finish("stopped")
    path = tmp_path / "tracking" / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({"memory": {**state["memory"], "position": 0}}))  # as if it had not been written

    resumed = Training(tmp_path, {"memory": ServiceTracker(service)}, 3)
    resumed.train(5)
    resumed.save()
    resumed.finish()
    assert service.get_steps() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("position", ["written", "not written"])
def test_what_a_service_has_lost_with_the_process_is_sent_again(
    tmp_path: Path, service: Service, position: str
) -> None:
    training = Training(tmp_path, {"memory": ForgetfulTracker(service, lost=0)})
    training.train(5)
    training.save()
    training.finish("stopped")
    if position == "not written":
        path = tmp_path / "tracking" / "state.json"
        state = json.loads(path.read_text())
        path.write_text(json.dumps({"memory": {**state["memory"], "position": 0, "logged": 0}}))
    resumed = Training(tmp_path, {"memory": ForgetfulTracker(service, lost=2)}, 5)
    resumed.train(7)
    resumed.save()
    resumed.finish()
    assert service.get_steps() == [*range(1, 8)]


def test_an_extended_run_continues_the_same_tracker_run(tmp_path: Path, service: Service) -> None:
    for step, end in ((None, 3), (3, 6)):
        training = Training(tmp_path, {"memory": ServiceTracker(service)}, step)
        training.train(end)
        training.save()
        training.trackers.log_metrics({"eval/mean_return": 1.0}, end)  # the final evaluation
        training.finish()
    assert service.get_steps() == [1, 2, 3, 3, 4, 5, 6, 6]
    assert [entry[0] for entry in service.runs["run-0"]].count("finish") == 2


def test_after_a_rewind_a_new_run_has_the_whole_history_and_names_its_parent(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(6)
    training.save()
    training.finish()
    rewound = Training(tmp_path, {"memory": ServiceTracker(service)}, 2)
    rewound.train(4)
    rewound.save()
    rewound.finish()

    assert (service.get_steps("run-0"), service.get_steps("run-1")) == ([*range(1, 7)], [1, 2, 3, 4])
    assert service.parents == {"run-0": (None, None), "run-1": ("run-0", "2")}
    assert "its new tracker run has the parent run-0" in caplog.text


@pytest.mark.parametrize("failing_calls", [range(1), range(3), range(2, 5), range(4, 5)], ids=str)
def test_a_service_that_comes_back_gets_everything_once(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture, failing_calls: range
) -> None:
    service.failures = [DOWN if call in failing_calls else None for call in range(failing_calls.stop)]
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    wait_until(lambda: "run-0" in service.runs and len(service.get_steps()) == 3)
    training.train(6)
    training.save()
    training.finish()

    assert service.get_steps() == [*range(1, 7)]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "no route to http://me:***@host" in warnings[0]
    assert f"`sb3-ext runs sync {tmp_path}`" in warnings[0]


def test_a_service_that_stays_down_holds_up_nothing_and_the_next_resume_sends_the_rest(
    tmp_path: Path, service: Service
) -> None:
    service.error = DOWN
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    training.finish("stopped")
    assert service.runs == {}
    assert all(not delivery._thread.is_alive() for delivery in training.trackers._deliveries)

    service.error = None
    resumed = Training(tmp_path, {"memory": ServiceTracker(service)}, 3)
    resumed.train(5)
    resumed.save()
    resumed.finish()
    assert service.get_steps() == [*range(1, 6)]
    assert [entry[:2] for entry in service.runs["run-0"] if entry[0] == "finish"] == [("finish", "completed")]


def test_a_service_that_hangs_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()

    class HangingTracker(ServiceTracker):
        def start(self, run: TrackedRun) -> str:
            release.wait(30)
            raise DOWN

    monkeypatch.setattr("sb3_ext.tracking.run_trackers._FINISH_TIMEOUT_SECONDS", 0.05)
    training = Training(tmp_path, {"memory": HangingTracker(Service())}, timeout_seconds=0.05)
    training.train(3)
    training.save()
    training.finish()
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "has not answered for 0.05 s" in caplog.text
    release.set()


def test_a_mistake_of_the_user_is_raised_by_the_start(tmp_path: Path, service: Service) -> None:
    service.error = Sb3ExtError("no permission")
    with pytest.raises(Sb3ExtError, match="no permission"):
        Training(tmp_path, {"memory": ServiceTracker(service)})


def test_after_a_refusal_new_runs_of_other_trackers_are_deleted(tmp_path: Path, service: Service) -> None:
    class LocalTracker(ServiceTracker):
        @property
        def is_local(self) -> bool:
            return True

    class DeletingTracker(ServiceTracker):
        def discard(self) -> None:
            del self._service.runs[self._id]

    refusing = Service()
    refusing.error = Sb3ExtError("no permission")
    trackers = {
        "local": LocalTracker(service),
        "refusing": ServiceTracker(refusing),
        "deleting": DeletingTracker(service),
    }
    with pytest.raises(Sb3ExtError, match="no permission"):
        Training(tmp_path, trackers)
    assert service.parents == {"run-0": (None, None)}  # `local` has not been started
    assert service.runs == {}
    assert load_states(tmp_path / "tracking/state.json")["deleting"].id is None

    refusing.error = None
    training = Training(tmp_path, trackers)
    training.train(1)
    training.save()
    training.finish()
    refusing.error = Sb3ExtError("no permission")
    with pytest.raises(Sb3ExtError, match="no permission"):
        Training(tmp_path, trackers, step=1)
    assert service.get_steps(training.trackers.ids["deleting"]) == [1]


def test_a_refusal_in_the_middle_costs_a_warning(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    service.error = Sb3ExtError("the run was deleted")
    training.train(3)
    training.save()
    training.finish()
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    assert "the run was deleted" in caplog.text


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Sb3ExtError("too large"), "too large"), (DOWN, "ConnectionError: no route to http://me:***@")],
)
def test_a_file_that_is_always_refused_does_not_hold_up_the_others(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture, error: Exception, reason: str
) -> None:
    service.file_errors = {"a.txt": error, "b.txt": error}
    training = Training(tmp_path, {"memory": ServiceTracker(service)})
    training.train(3)
    training.save()
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for path in paths:
        path.write_text("text")
    training.trackers.log_artifacts(paths, tmp_path)
    training.finish()

    assert [entry[1] for entry in service.runs["run-0"] if entry[0] == "artifact"] == ["c.txt"]
    assert (service.get_steps(), service.runs["run-0"][-1][0]) == ([1, 2, 3], "finish")
    assert f"tracker memory: a.txt is left out: {reason}" in caplog.text
    assert f"`sb3-ext runs sync {tmp_path}` tries again" in caplog.text
    assert "b.txt" not in "".join(item.getMessage() for item in caplog.records if item.levelno >= logging.WARNING)

    del service.file_errors["b.txt"]
    folder = tmp_path / "tracking"
    again = RunTrackers({"memory": ServiceTracker(service)}, folder / "journal.jsonl", folder / "state.json", int)
    [outcome] = again.sync(TrackedRun("run", tmp_path, step=3), {})
    assert (outcome.sent, outcome.left, outcome.refused) == (1, 0, ("a.txt",))
    assert [entry[0] for entry in service.runs["run-0"]][-2:] == ["artifact", "finish"]
