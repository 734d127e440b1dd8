"""Metrics inserted into MLflow's SQLite database at once are the same as those of ``log_batch``."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from sb3_ext.internals.mlflow_store import insert_metrics

METRICS = [
    *(Metric("loss", value, 1000 + step, step) for step, value in ((0, 0.5), (20, math.inf), (10, -1.0))),
    *(Metric("bad", math.nan, 1000, step) for step in (0, 1)),
    Metric("loss", 0.5, 1000, 0),  # again
    Metric("whole", 3, 1000, 5),
]


@pytest.fixture
def client(tmp_path: Path, mlflow_database: Path) -> MlflowClient:
    uri = f"sqlite:///{shutil.copy(mlflow_database, tmp_path)}"
    return MlflowClient(uri, registry_uri=uri)


def describe(client: MlflowClient, run_id: str) -> str:
    latest = client.get_run(run_id).data.metrics
    history = {name: sorted(map(str, client.get_metric_history(run_id, name))) for name in latest}
    return str((sorted(latest.items()), history)).replace(run_id, "")


@pytest.mark.parametrize("batches", [[METRICS], [[metric] for metric in METRICS], [METRICS, METRICS[:2]]])
def test_inserted_metrics_are_those_of_log_batch(client: MlflowClient, batches: list[list[Metric]]) -> None:
    stock, fast = (client.create_run("0").info.run_id for _ in range(2))
    for batch in batches:
        client.log_batch(stock, metrics=batch)
        assert insert_metrics(client, fast, batch)

    assert describe(client, fast) == describe(client, stock)
    assert client.get_run(fast).data.metrics["whole"] == 3.0
    assert [metric.step for metric in client.get_metric_history(fast, "loss")] == [0, 10, 20]


def test_nothing_is_inserted_into_a_deleted_run_or_by_a_server(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)

    assert not insert_metrics(client, run_id, METRICS)
    assert client.get_run(run_id).data.metrics == {}
    assert not insert_metrics(MlflowClient("http://127.0.0.1:9"), run_id, METRICS)
