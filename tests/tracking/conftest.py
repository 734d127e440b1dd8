"""A tracker of the tests: it sends to a service in memory, which can be down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sb3_ext.tracking.tracker import TrackedRun, Tracker


class Service:
    """Keeps runs by their ids. ``failures`` are raised by the next calls."""

    def __init__(self) -> None:
        self.runs: dict[str, list[tuple[Any, ...]]] = {}
        self.parents: dict[str, tuple[str | None, str | None]] = {}
        self.failures: list[BaseException | None] = []
        self.error: BaseException | None = None
        self.file_errors: dict[str, BaseException] = {}

    def answer(self) -> None:
        if self.error is not None:
            raise self.error
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure

    def get_steps(self, run_id: str = "run-0") -> list[int]:
        return [entry[1] for entry in self.runs[run_id] if entry[0] == "metrics"]


class ServiceTracker(Tracker):
    """Drops what it has already, as it has to."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def start(self, run: TrackedRun) -> str:
        self._service.answer()
        self._id = f"run-{len(self._service.runs)}" if run.id is None else run.id
        self._service.runs.setdefault(self._id, []).append(("start", run.step))
        self._service.parents.setdefault(self._id, (run.parent_id, run.tags.get("parent_step")))
        return self._id

    @property
    def url(self) -> str:
        return f"memory://{self._id}"

    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        self._service.answer()
        entry = ("metrics", step, dict(values), time_seconds)
        if entry not in self._service.runs[self._id]:
            self._service.runs[self._id].append(entry)

    def log_artifact(self, path: Path, name: str) -> None:
        self._service.answer()
        if name in self._service.file_errors:
            raise self._service.file_errors[name]
        self._service.runs[self._id].append(("artifact", name, path.read_bytes()))

    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        self._service.answer()
        self._service.runs[self._id].append(("finish", status, dict(summary)))


class ForgetfulTracker(ServiceTracker):
    """Its service loses the last entries with the process, and says how many it has."""

    def __init__(self, service: Service, lost: int) -> None:
        super().__init__(service)
        self._lost = lost

    def start(self, run: TrackedRun) -> str:
        run_id = super().start(run)
        entries = self._service.runs[run_id]
        for _ in range(self._lost):
            entries.remove([entry for entry in entries if entry[0] == "metrics"][-1])
        self._lost = 0
        return run_id

    def count_stored(self) -> int:
        return len(self._service.get_steps(self._id))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in ("_FIRST_RETRY_SECONDS", "_SEND_EVERY_SECONDS"):
        monkeypatch.setattr(f"sb3_ext.tracking.delivery.{name}", 0.01)
    return Service()
