"""What every test shares. torch reads the thread counts when it is imported, so they are set before any test is."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sb3_ext.atomic import write_bytes

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["MPLBACKEND"] = "agg"

# Workers are forked from a server that has the heavy imports behind it.
multiprocessing.set_forkserver_preload(["sb3_ext.vec.snapshots.snapshot_wrapper", "sb3_ext.vec.workers.worker_loop"])

OTHER_USER = 65534  # an id without rights on most systems
HARNESS = Path(__file__).parent / "harness"
TRAINING_SCRIPT = """
import sys, time
from pathlib import Path
from sb3_ext.runs.session import RunSession

with RunSession.create(Path(sys.argv[1]), config_text="seed: 1", resolved_config_text="seed: 1", meta={}) as session:
    print("ready", flush=True)
    while True:
        session.status.update(step=session.status.status.step + 1, total_steps=1000000, phase="collecting")
        session.status.write()
        if session.paths.stop.exists() or session.signals.received:
            session.finish("stop file" if session.paths.stop.exists() else f"signal {session.signals.received}")
            break
        time.sleep(0.02)
"""


def pytest_collection_finish() -> None:
    """Leave what is imported out of later garbage collections, as the commands do: it is a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled programs out of the user's cache directory."""
    os.environ["SB3_EXT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["SB3_EXT_CACHE"]


@pytest.fixture(autouse=True, scope="session")
def unsynced_disk() -> Iterator[None]:
    """Do not wait for the disk, which takes a quarter of a short training: only a power loss shows the difference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(autouse=True)
def unrendered_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Write an empty ``training_curves.png`` after trainings, since rendering takes as long as a short training.

    The figure is made nevertheless. Tests of pictures and of commands render it.
    """
    if request.path.parent.name not in {"agents", "cli", "reports"}:
        monkeypatch.setattr("sb3_ext.reports.curves.save_figure", lambda _figure, path: write_bytes(path, b""))


StartPython = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to copy: its tables take seconds to create."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def run_harness() -> Callable[..., str]:
    """Run a script of ``tests/harness`` with the given options, and fail if it fails; return what it prints."""

    def run(script: str, *options: str) -> str:
        command = [sys.executable, str(HARNESS / script), *options]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


@pytest.fixture
def start_python() -> Iterator[StartPython]:
    """Start a Python process with the given code and arguments; it is ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def start_run(start_python: StartPython) -> Callable[[Path], subprocess.Popen[str]]:
    """Start a process that owns a run directory and writes heartbeats until it is asked to stop."""

    def start(directory: Path) -> subprocess.Popen[str]:
        process = start_python(TRAINING_SCRIPT, directory)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    return start


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """A directory that other users can read, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory(prefix="sb3_ext_shared_") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def write_protecting() -> Callable[[Path], AbstractContextManager[None]]:
    """Context manager in which this process cannot write in a directory, as with a run of another user."""
    return _protect


@contextmanager
def _protect(directory: Path) -> Iterator[None]:
    modes = {path: path.stat().st_mode for path in (directory, *directory.rglob("*")) if not path.is_symlink()}
    is_root = os.geteuid() == 0
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    if is_root:  # root may write everywhere
        os.setresuid(OTHER_USER, OTHER_USER, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        for path, mode in modes.items():
            path.chmod(mode)
