"""W&B online: its real client, and a stand-in for the service on loopback that stores rows, as wandb.ai does."""

from __future__ import annotations

import gzip
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.tracker import RunGroup, TrackedRun
from sb3_ext.tracking.wandb import WandbTracker

DELETED = "run me/mine/abc was previously created and deleted; try a new run name"


class WandbServer(http.server.ThreadingHTTPServer):
    """Answers the requests of a run without artifacts: its rows by number, its summary, names of uploaded files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uri = f"http://127.0.0.1:{self.server_port}"
        self.rows: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.files: list[str] = []
        self.groups: list[str | None] = []
        self.exit_codes: list[int] = []
        self.is_deleted = False

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "1", "name": "mine", "entity": {"id": "1", "name": "me"}}
        bucket = {"id": "1", "displayName": "run", "config": "{}", "historyLineCount": len(self.rows)}
        if operation == "RunResumeStatus" and self.rows:
            last = json.dumps(self.rows[max(self.rows)])
            lines = {"eventsLineCount": 0, "logLineCount": 0, "historyTail": json.dumps([last]), "eventsTail": "[]"}
            state = {"summaryMetrics": last, "tags": [], "wandbConfig": '{"t": 1}', "name": variables["name"]}
            return {"model": {**project, "bucket": {**bucket, **lines, **state}}}
        if operation == "UpsertBucket":
            self.groups.append(variables.get("groupName"))
            bucket |= {"name": variables["name"], "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": not self.rows}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.uri}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        return {}

    def receive(self, content: dict[str, Any]) -> None:
        for line in content.get("files", {}).get("wandb-history.jsonl", {}).get("content", ()):
            row = json.loads(line)
            assert row["_step"] not in self.rows, "a row twice"
            self.rows[row["_step"]] = row
        for line in content.get("files", {}).get("wandb-summary.json", {}).get("content", ()):
            self.summary = json.loads(line)
        if content.get("complete"):
            self.exit_codes.append(content["exitcode"])


class _Handler(http.server.BaseHTTPRequestHandler):
    server: WandbServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status, answer = 200, {}
        if self.path == "/graphql":
            request = json.loads(body)
            found = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])
            assert found is not None
            if found[1] == "UpsertBucket" and self.server.is_deleted:
                status, answer = 409, {"errors": [{"message": DELETED}]}
            else:
                answer = {"data": self.server.answer(found[1], request.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.server.receive(json.loads(body))
        elif self.path.startswith("/upload/"):
            self.server.files.append(self.path.removeprefix("/upload/"))
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """W&B keeps its address until ``teardown``."""
    wandb.teardown()
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    with WandbServer() as server:
        server.daemon_threads = True
        monkeypatch.setenv("WANDB_BASE_URL", server.uri)
        monkeypatch.setenv("WANDB_API_KEY", "5ec2e7" * 7)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            wandb.teardown()
            server.shutdown()


def test_a_resumed_run_continues_after_the_rows_that_the_service_has(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = WandbTracker("mine")
    run_id = tracker.start(TrackedRun("run", tmp_path, group=RunGroup("sweep", "1", tmp_path)))
    assert (tracker.count_stored(), tracker.url) == (0, f"{server.uri}/me/mine/runs/{run_id}")
    for step in (10, 20, 20):
        tracker.log_metrics({"loss": 1 / step}, step, 1000.0 + step)
    tracker.finish("stopped", {"best_return": 3.0})

    # The service has three rows, but the process was killed before it wrote down that it sent them.
    resumed = WandbTracker("mine")
    assert resumed.start(TrackedRun("run", tmp_path, id=run_id, logged=1, step=20)) == run_id
    assert resumed.count_stored() == 3
    resumed.log_metrics({"loss": 0.5}, 30, 1030.0)
    resumed.finish("failed", {"stop_reason": "error"})

    rows = [(number, row["global_step"], row["loss"]) for number, row in sorted(server.rows.items())]
    assert rows == [(0, 10, 0.1), (1, 20, 0.05), (2, 20, 0.05), (3, 30, 0.5)]
    assert (server.summary["status"], server.summary["stop_reason"]) == ("failed", "error")
    assert server.exit_codes == [0, 1]
    assert "sweep" in server.groups

    server.is_deleted = True
    monkeypatch.setattr("sb3_ext.tracking.wandb._INIT_TIMEOUT_SECONDS", 2)
    with pytest.raises(Sb3ExtError, match=rf"W&B's run {run_id} of this run was deleted; restore it on the project's"):
        WandbTracker("mine").start(TrackedRun("run", tmp_path, id=run_id, step=30))


def test_a_video_is_uploaded_and_shown_in_the_summary(server: WandbServer, tmp_path: Path) -> None:
    (tmp_path / "best.gif").write_bytes(b"GIF89a")
    tracker = WandbTracker("mine")
    tracker.start(TrackedRun("run", tmp_path))
    tracker.log_metrics({"loss": 0.5}, 10, 1000.0)
    tracker.log_video(tmp_path / "best.gif", "videos/best.gif")
    tracker.finish("completed", {})

    assert [row["global_step"] for row in server.rows.values()] == [10]
    video = server.summary["videos/best.gif"]
    assert (video["_type"], video["size"]) == ("video-file", 6)
    assert video["path"] in server.files
