"""Track runs with MLflow: on a server, or in an SQLite file next to the runs."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import posixpath
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sb3_ext.errors import MissingExtraError, Sb3ExtError
from sb3_ext.file_lock import holding_lock
from sb3_ext.internals.mlflow_store import insert_metrics
from sb3_ext.tracking.parameter_names import flatten
from sb3_ext.tracking.redaction import has_password, hide_secrets, remove_login
from sb3_ext.tracking.tracker import RunGroup, TrackedRun, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_SCHEMES = ("", "databricks", "databricks-uc", "file", "http", "https", "mssql", "mysql", "postgresql", "sqlite", "uc")
_MAX_BATCH = 1000  # metrics in one request; of parameters and tags, 100
_MAX_PARAMETERS = 100
_MAX_VALUE_CHARACTERS = 6000
_MAX_MESSAGE_CHARACTERS = 500
_LOGIN_HINT = "; log in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_RETURN_TAG = "evaluation_return"
_GROUP_TAG = "sb3_ext.group"
_PARENT_TAG = "mlflow.parentRunId"
_STATUSES = {"completed": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_REFUSALS = {
    *("BAD_REQUEST", "ENDPOINT_NOT_FOUND", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "PERMISSION_DENIED"),
    *("RESOURCE_DOES_NOT_EXIST", "UNAUTHENTICATED"),
}
"""MLflow's codes of errors for which another attempt is useless."""
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # The delivery itself tries again; a client that retries for minutes would delay it.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Environment variables that are set before MLflow is imported, unless the user sets them."""


class MlflowTracker(Tracker):
    """
    Logs parameters, metrics, files and tags to MLflow. The trials of a study, and the runs of a sweep over
    seeds, are nested in a run of the study or sweep.

    :param tracking_uri: URI of a server, such as ``http://localhost:5000``, or of a database; ``None`` for
        ``MLFLOW_TRACKING_URI`` or, if that is not set, the file ``mlflow.db`` next to the run directory. User name and
        password are only read from ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``
    :param experiment: name of the experiment, which is created if it does not exist
    :param run_name: name of the MLflow run; ``None`` for the name of the run directory
    :param tags: further tags by name
    :param register: name of a model in MLflow's registry: the best agent of a completed run becomes a new version of
        it, and gets the alias ``best`` if its evaluation is better than that of the present ``best``; ``None``
        registers none
    :raises MissingExtraError: if MLflow is not installed
    :raises ValueError: if the URI contains a password or MLflow does not support it, or ``register`` is not a valid
        name
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "sb3_ext",
        run_name: str | None = None,
        tags: dict[str, Any] | None = None,
        register: str | None = None,
    ) -> None:
        if importlib.util.find_spec("mlflow") is None:
            raise MissingExtraError("tracking with MLflow", "mlflow")
        _validate_uri(tracking_uri)
        if register is not None and (not register.strip() or set("/:") & set(register)):
            raise ValueError(f"register: expected a name without '/' and ':', found '{register}'")
        self._register = register
        self._given_uri = tracking_uri
        self._experiment = experiment
        self._run_name = run_name
        self._tags = tags or {}
        self._uri = ""
        self._client: MlflowClient
        self._run: Run | None = None
        self._metrics: list[Metric] = []
        self._accepted: set[str] = set()  # names of metrics that MLflow has checked

    def start(self, run: TrackedRun) -> str:
        """
        :param run: the run
        :return: MLflow's run id
        :raises Sb3ExtError: if MLflow refuses the run, or the run was deleted in MLflow
        """
        self._metrics.clear()
        with self._connecting(run.directory.parent):
            self._run = self._create_run(run) if run.id is None else self._find_run(run.id)
        return self._run_id

    @property
    def is_local(self) -> bool:
        """Whether runs are in a file."""
        return urlsplit(self._choose_uri(Path())).scheme in ("", "file", "sqlite")

    def discard(self) -> None:
        """Delete the run, as ``mlflow runs delete`` does; MLflow can restore it."""
        with self._translating_refusals():
            self._client.delete_run(self._run_id)

    def start_group(self, group: RunGroup) -> None:
        """
        Find the run of the group, or create it.

        :param group: the group
        :raises Sb3ExtError: if MLflow refuses the run
        """
        with self._connecting(group.directory):
            self._client.update_run(self._find_or_create_group(group), status="RUNNING")

    def finish_group(self, group: RunGroup, status: str, summary: Mapping[str, Any]) -> None:
        """
        :param group: the group
        :param status: converted to MLflow's status
        :param summary: logged as tags
        """
        with self._connecting(group.directory):
            run_id = self._find_or_create_group(group)
            self._log_tags(run_id, summary)
            self._client.set_terminated(run_id, _STATUSES[status])

    @property
    def url(self) -> str | None:
        """URL of the run on the server; ``None`` for a database without a server."""
        if self._run is None or not self._uri.startswith("http"):
            return None
        server = remove_login(self._uri.rstrip("/"))
        return f"{server}/#/experiments/{self._run.info.experiment_id}/runs/{self._run.info.run_id}"

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """
        Log the parameters that MLflow does not have yet. Values that a resume has changed are not updated, since MLflow
        does not allow it.

        :param parameters: nested parameters, which get names such as ``agent.params.gamma``
        """
        from mlflow.entities import Param

        with self._translating_refusals():
            known = self._client.get_run(self._run_id).data.params
            new = [
                Param(name, value[:_MAX_VALUE_CHARACTERS])
                for name, value in flatten(parameters).items()
                if name not in known
            ]
            for first in range(0, len(new), _MAX_PARAMETERS):
                self._client.log_batch(self._run_id, params=new[first : first + _MAX_PARAMETERS])

    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        :param values: numbers by name
        :param step: environment transitions so far
        :param time_seconds: time, which with name, step and value identifies an entry that is logged again
        """
        from mlflow.entities import Metric

        milliseconds = int(1000 * time_seconds)
        self._metrics += [Metric(name, value, milliseconds, step) for name, value in values.items()]

    def log_artifact(self, path: Path, name: str) -> None:
        """
        :param path: the file
        :param name: its path among the artifacts of the run
        """
        self.flush()
        with self._translating_refusals():
            self._client.log_artifact(self._run_id, str(path), posixpath.dirname(name) or None)

    @property
    def registers_models(self) -> bool:
        """Whether the parameter ``register`` was given."""
        return self._register is not None

    def log_model(self, path: Path, score: float | None, time_seconds: float) -> None:
        """
        Upload the model, register it as a new version, and move the alias ``best`` to it if it is better.

        :param path: folder of the model
        :param score: mean return of its evaluation
        :param time_seconds: time of the first attempt; a model of this run with the same time is not registered again
        """
        assert self._register is not None
        from mlflow.exceptions import MlflowException

        identity = {"sb3_ext.run": self._run_id, "sb3_ext.time": str(time_seconds)}
        with self._translating_refusals():
            with contextlib.suppress(MlflowException):  # it exists already
                self._client.create_registered_model(self._register)
            found = self._client.search_model_versions(f"name = '{self._register}'")
            version = next((item for item in found if identity.items() <= item.tags.items()), None)
            if version is None:
                folder = f"model-{int(time_seconds)}"
                self._client.log_artifacts(self._run_id, str(path), folder)
                artifacts = self._client.get_run(self._run_id).info.artifact_uri
                tags = identity if score is None else {**identity, _RETURN_TAG: repr(score)}
                version = self._client.create_model_version(
                    self._register, f"{artifacts}/{folder}", self._run_id, tags=tags
                )
            if score is not None and self._is_better(score):
                self._client.set_registered_model_alias(self._register, "best", version.version)

    def flush(self) -> None:
        """Send the metrics: to a server up to 1,000 in a request, to an SQLite file all at once."""
        with self._translating_refusals():
            checked = [metric for metric in self._metrics if metric.key in self._accepted]
            if not checked or not insert_metrics(self._client, self._run_id, checked):
                checked = []
            left = [metric for metric in self._metrics if not checked or metric.key not in self._accepted]
            for first in range(0, len(left), _MAX_BATCH):
                self._client.log_batch(self._run_id, metrics=left[first : first + _MAX_BATCH])
        self._accepted.update(metric.key for metric in left)
        self._metrics.clear()

    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        :param status: converted to MLflow's status: ``FINISHED``, ``KILLED`` or ``FAILED``
        :param summary: logged as tags
        """
        self.flush()
        with self._translating_refusals():
            self._log_tags(self._run_id, summary)
            self._client.set_terminated(self._run_id, _STATUSES[status])

    @property
    def _run_id(self) -> str:
        assert self._run is not None, "started before"
        run_id: str = self._run.info.run_id
        return run_id

    def _choose_uri(self, root: Path) -> str:
        return self._given_uri or os.environ.get("MLFLOW_TRACKING_URI") or _make_database_uri(root)

    @contextmanager
    def _connecting(self, root: Path) -> Iterator[None]:
        """:param root: directory of the database file if no URI is given"""
        self._uri = self._choose_uri(root)
        with self._translating_refusals(), _locking(self._uri):
            self._client = _make_client(self._uri)
            yield

    def _find_or_create_experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(self._experiment)
        if experiment is None:
            created: str = self._client.create_experiment(self._experiment, _choose_artifact_location(self._uri))
            return created
        if experiment.lifecycle_stage == "deleted":
            raise Sb3ExtError(
                f"tracking.mlflow.experiment: the experiment '{self._experiment}' was deleted in MLflow; restore it, "
                "or name another"
            )
        found: str = experiment.experiment_id
        return found

    def _create_run(self, run: TrackedRun) -> Run:
        experiment_id = self._find_or_create_experiment()
        tags = {**run.tags, **self._tags, "mlflow.source.name": "sb3-ext"}
        if run.parent_id is not None:
            tags |= {_PARENT_TAG: run.parent_id}
        elif run.group is not None:
            tags |= {_PARENT_TAG: self._find_or_create_group(run.group)}
        texts = {name: str(value)[:_MAX_VALUE_CHARACTERS] for name, value in tags.items()}
        return self._client.create_run(experiment_id, tags=texts, run_name=self._run_name or run.name)

    def _find_or_create_group(self, group: RunGroup) -> str:
        """:return: id of the run in which those of the group are nested"""
        experiment_id = self._find_or_create_experiment()
        condition = f"tags.`{_GROUP_TAG}` = '{group.id}'"
        # Runs of a group may start at once.
        with holding_lock(group.directory, required=False):
            found = self._client.search_runs([experiment_id], condition, max_results=1)
            if found:
                run_id: str = found[0].info.run_id
                return run_id
            tags = {**self._tags, _GROUP_TAG: group.id, "mlflow.source.name": "sb3-ext"}
            run_id = self._client.create_run(experiment_id, tags=tags, run_name=group.name).info.run_id
            self._client.set_terminated(run_id)  # it trains nothing itself; start_group marks it as running
        return run_id

    def _find_run(self, run_id: str) -> Run:
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_run(run_id)
            is_deleted = found.info.lifecycle_stage == "deleted"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            is_deleted = True
        if is_deleted:
            raise Sb3ExtError(
                f"tracking.mlflow: MLflow's run {run_id} of this run was deleted; restore it with `mlflow runs restore "
                f"--run-id {run_id}`, or remove 'mlflow' from tracking/state.json of the run to begin a new one"
            )
        self._client.update_run(run_id, status="RUNNING")
        return found

    def _is_better(self, score: float) -> bool:
        assert self._register is not None
        model = self._client.get_registered_model(self._register)
        if "best" not in model.aliases:
            return True
        best = self._client.get_model_version(self._register, model.aliases["best"])
        return score > float(best.tags.get(_RETURN_TAG, "-inf"))

    def _log_tags(self, run_id: str, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        texts = [RunTag(name, str(value)[:_MAX_VALUE_CHARACTERS]) for name, value in tags.items()]
        self._client.log_batch(run_id, tags=texts)

    @contextmanager
    def _translating_refusals(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from requests import HTTPError

        try:
            yield
        except MlflowException as error:
            if error.error_code in _REFUSALS or _is_refusal(error.get_http_status_code()):
                raise self._make_refusal(error, error.get_http_status_code()) from error
            raise
        except HTTPError as error:  # of uploads
            if error.response is not None and _is_refusal(error.response.status_code):
                raise self._make_refusal(error, error.response.status_code) from error
            raise

    def _make_refusal(self, error: Exception, status_code: int) -> Sb3ExtError:
        message = hide_secrets(" ".join(str(error).split()))[:_MAX_MESSAGE_CHARACTERS]
        hint = _LOGIN_HINT if status_code in (401, 403) else ""
        return Sb3ExtError(f"tracking.mlflow: refused by {hide_secrets(self._uri)}: {message}{hint}")


def _is_refusal(status_code: int) -> bool:
    """Whether another attempt is useless: a client's error other than a timeout or too many requests."""
    return 400 <= status_code < 500 and status_code not in (408, 425, 429)


def _validate_uri(uri: str | None) -> None:
    if uri is None:
        return
    if has_password(uri):
        raise ValueError(
            "tracking_uri: contains a password, which would be written into the run directory; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the whole URI as MLFLOW_TRACKING_URI"
        )
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _SCHEMES or (scheme in ("http", "https") and not parts.hostname):
        known = "http://host:port, https://…, sqlite:///file.db, postgresql://…, databricks"
        raise ValueError(f"tracking_uri: expected {known} or the like, found '{uri}'")


def _make_database_uri(root: Path) -> str:
    return f"sqlite:///{root.absolute() / 'mlflow.db'}"


def _choose_artifact_location(uri: str) -> str | None:
    """:return: for a database without a server, a folder instead of MLflow's default, the current directory"""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()


@contextmanager
def _locking(uri: str) -> Iterator[None]:
    """
    Lock a database file, so that only one of several runs that start at once creates its tables.

    :raises Sb3ExtError: if the file cannot be created or is not a database
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///")).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _validate_database(path)
    except (OSError, sqlite3.DatabaseError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Sb3ExtError(f"tracking.mlflow: {path} cannot be used as a database: {reason}") from error
    with holding_lock(path.with_name(f"{path.name}.lock"), required=False):
        yield


def _validate_database(path: Path) -> None:
    """MLflow tries to open a database for minutes, also where that can never succeed."""
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise


def _make_client(uri: str) -> MlflowClient:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log the creation of tables to the console
    from mlflow import MlflowClient

    return MlflowClient(uri, registry_uri=uri)
