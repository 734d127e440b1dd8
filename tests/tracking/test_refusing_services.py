"""The real clients, and a server on loopback that answers every request with an error."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from click.testing import CliRunner, Result

from sb3_ext.cli import cli

SECRET = "5ec2e7" * 7  # W&B refuses shorter keys
CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20},
    "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 16, "batch_size": 8}},
    "train": {"total_steps": 32, "log_every_episodes": 1},
    "eval": {"episodes": 2},
}


class RefusingServer(http.server.ThreadingHTTPServer):
    """Answers with ``status_code``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status_code = 401
        self.requests: list[str] = []

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RefusingServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.requests.append(self.path)
        self.send_response(self.server.status_code)
        self.send_header("content-length", "6")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"denied")

    do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = _answer

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def all_tests_server() -> Iterator[RefusingServer]:
    """W&B keeps its address until ``teardown``."""
    wandb.teardown()
    with RefusingServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            wandb.teardown()
            server.shutdown()


@pytest.fixture
def server(all_tests_server: RefusingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RefusingServer:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", all_tests_server.uri)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    all_tests_server.requests.clear()
    return all_tests_server


def train(tracking: dict[str, Any]) -> Result:
    Path("my.yaml").write_text(yaml.safe_dump({**CONFIG, "tracking": tracking}))
    return CliRunner().invoke(cli, ["train", "my.yaml", "--run-dir", "run", "--quiet"])


@pytest.mark.parametrize(
    ("tracker", "status_code", "message"),
    [
        ("mlflow", 401, "error code 401 != 200. Response body: 'denied'; log in with MLFLOW_TRACKING_USERNAME and"),
        ("mlflow", 403, "error code 403 != 200"),
        ("mlflow", 404, "error code 404 != 200"),
        ("wandb", 401, "error 401"),
        ("wandb", 403, "check WANDB_API_KEY, and your permissions for entity and project"),
        ("wandb", 404, "error 404"),
    ],
)
def test_a_refusal_ends_the_command_before_training(
    server: RefusingServer, tracker: str, status_code: int, message: str
) -> None:
    server.status_code = status_code
    result = train({tracker: {"tracking_uri": server.uri} if tracker == "mlflow" else {}})

    assert result.exit_code == 2, result.output
    assert server.requests != []
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("wandb: ")]
    assert f"tracking.{tracker}: refused" in line
    assert message in line
    assert SECRET not in result.output
    assert not Path("run").exists()


def test_without_a_login_no_tracker_makes_anything(server: RefusingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb.teardown()  # it keeps the key of earlier tests
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(Path.cwd()))  # where W&B looks for .netrc
    Path("runs").mkdir()
    Path("my.yaml").write_text(yaml.safe_dump({**CONFIG, "tracking": {"mlflow": {}, "trackio": {}, "wandb": {}}}))
    result = CliRunner().invoke(cli, ["train", "my.yaml", "--run-dir", "runs/new", "--quiet"])

    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("wandb: ")]
    assert "run `wandb login`, set WANDB_API_KEY, or set mode: offline" in line
    assert list(Path("runs").iterdir()) == []


def test_no_file_of_a_run_has_a_secret(server: RefusingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status_code = 503  # not a refusal: training continues
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("//", f"//me:{SECRET}@"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = train({"mlflow": {}, "wandb": {"mode": "offline"}})

    assert result.exit_code == 0, result.output
    assert "tracker mlflow: " in result.stderr
    assert SECRET not in result.output
    files = [path for path in Path("run").rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.name for path in files} >= {"journal.jsonl", "state.json", "training.log", "meta.json"}
    assert any(path.suffix == ".wandb" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
