"""Private names of MLflow, checked with 3.17.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_COLUMNS = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}


def insert_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> bool:
    """
    Insert metrics into MLflow's SQLite database with two statements. ``MlflowClient.log_batch`` creates an object for
    each metric, and takes ten times as long. Metrics that the run already has are skipped, as by ``log_batch``.

    :param client: client of the database
    :param run_id: the run
    :param metrics: metrics whose names MLflow accepts
    :return: whether they are inserted; false, with nothing changed, for a server, another database, an unknown release
        of MLflow, or a run that is deleted
    """
    try:
        from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlRun
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from sqlalchemy import select, tuple_
        from sqlalchemy.dialects.sqlite import insert

        store = client._tracking_client.store
        tables = SqlMetric.__table__, SqlLatestMetric.__table__
        make_session, sanitize = store.ManagedSessionMaker, store.sanitize_metric_value
    except (AttributeError, ImportError):
        return False
    is_known = type(store) is SqlAlchemyStore and store.db_type == "sqlite"
    if not is_known or any({column.name for column in table.columns} != _COLUMNS for table in tables):
        return False
    rows: list[dict[str, Any]] = []
    latest: dict[str, dict[str, Any]] = {}
    for metric in metrics:
        is_nan, value = sanitize(float(metric.value))
        row = {
            **{"run_uuid": run_id, "key": metric.key, "value": value, "is_nan": is_nan},
            **{"step": metric.step, "timestamp": metric.timestamp},
        }
        rows.append(row)
        known = latest.setdefault(metric.key, row)
        if _get_place(row) > _get_place(known):
            latest[metric.key] = row
    with make_session() as session:
        stage = session.execute(select(SqlRun.lifecycle_stage).where(SqlRun.run_uuid == run_id)).scalar()
        if stage != "active":
            return False
        session.execute(insert(tables[0]).on_conflict_do_nothing(), rows)
        statement = insert(tables[1])
        new, old = statement.excluded, tables[1].c
        statement = statement.on_conflict_do_update(
            index_elements=["key", "run_uuid"],
            set_={name: new[name] for name in ("value", "timestamp", "step", "is_nan")},
            where=tuple_(new.step, new.timestamp, new.value) > tuple_(old.step, old.timestamp, old.value),
        )
        session.execute(statement, list(latest.values()))
    return True


def _get_place(row: dict[str, Any]) -> tuple[int, int, float]:
    """:return: what MLflow compares to find the latest value of a metric"""
    return row["step"], row["timestamp"], row["value"]
