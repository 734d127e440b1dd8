"""Tiny studies."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest

from sb3_ext.tuning.plan import TuningPlan, make_plan

DATA: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "agent": {"id": "ppo", "params": {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "learning_rate": 0.001}},
    "train": {"total_steps": 128, "callbacks": [{"type": "checkpoint", "params": {"self_test": False}}]},
    "eval": {"every_steps": 32, "episodes": 1},
    "tune": {
        "trials": 3,
        "study": "mine",
        "space": {"agent.params.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    },
}

MakePlan = Callable[..., TuningPlan]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def make_plan_here(tmp_path: Path) -> MakePlan:
    """Make the plan of a study in ``tmp_path / "study"``: keyword arguments are overrides, ``__`` for dots."""

    def make(**changes: Any) -> TuningPlan:
        from sb3_ext.config import Override

        overrides = [Override(tuple(key.split("__")), value, key) for key, value in changes.items()]
        return make_plan(DATA, overrides, directory=tmp_path / "study")

    return make


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A database in a server that is started for the tests; it needs ``initdb`` and ``pg_ctl`` on PATH."""
    as_owner = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []  # it refuses to be root
    port = find_free_port()
    # Not pytest's own: that is closed to other users.
    with tempfile.TemporaryDirectory(prefix="sb3-ext-postgresql-", ignore_cleanup_errors=True) as directory:
        if as_owner:
            shutil.chown(directory, "nobody")
        data, log = f"{directory}/data", f"{directory}/log"
        run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, cwd=directory)
        run([*as_owner, "initdb", "-D", data, "-U", "tester", "--auth=trust", "-E", "UTF8", "--no-sync"])
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c max_connections=50"
        run([*as_owner, "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"])
        try:
            with psycopg.connect(f"postgresql://tester@127.0.0.1:{port}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE studies")
            yield f"postgresql://tester@127.0.0.1:{port}/studies"
        finally:
            run([*as_owner, "pg_ctl", "-D", data, "-m", "immediate", "stop"])


@pytest.fixture
def postgresql(postgresql_server: str) -> str:
    """The URL of an empty database."""
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgresql_server


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
