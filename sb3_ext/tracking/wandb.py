"""Track runs with Weights & Biases: online, or in files that ``wandb sync`` uploads later."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sb3_ext.errors import MissingExtraError, Sb3ExtError
from sb3_ext.tracking.media import find_media_kind, is_video
from sb3_ext.tracking.redaction import hide_secrets
from sb3_ext.tracking.tracker import TrackedRun, Tracker
from sb3_ext.tracking.wandb_files import count_rows, count_rows_when_still

if TYPE_CHECKING:
    from wandb import Artifact, Run

logger = logging.getLogger(__name__)

WandbMode = Literal["online", "offline", "disabled"]

STEP_NAME = "global_step"
"""Name of the environment transitions in each row; W&B's own step is the index of the row."""

_INIT_TIMEOUT_SECONDS = 20
_WRITE_TIMEOUT_SECONDS = 20.0
_REFUSAL = re.compile(r"(error|HTTP) 4(0[01349]|22)|permission denied|not found", re.IGNORECASE)
_DELETED = "previously created and deleted"


class WandbTracker(Tracker):
    """
    Logs parameters, metrics, files and a summary to Weights & Biases.

    Each dump of the log is a row of W&B's history, with ``global_step`` as the horizontal axis. W&B's own step is not
    used for it, since W&B drops rows with a step before the last one, such as those of background evaluations.

    :param project: name of the project
    :param entity: user or team; ``None`` for the default of the login
    :param run_name: name of the W&B run; ``None`` for the name of the run directory
    :param group: name of a group of runs; ``None`` for the study of which the run is a trial
    :param mode: ``online``; ``offline`` writes files for ``wandb sync``; ``disabled`` does nothing
    :param tags: labels of the run
    :raises MissingExtraError: if ``wandb`` is not installed
    """

    def __init__(
        self,
        project: str = "sb3_ext",
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        mode: WandbMode = "online",
        tags: list[str] | None = None,
    ) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise MissingExtraError("tracking with Weights & Biases", "wandb")
        if mode not in (modes := get_args(WandbMode)):
            raise ValueError(f"mode: expected {', '.join(modes[:-1])} or {modes[-1]}, found '{mode}'")
        self._project = project
        self._entity = entity
        self._run_name = run_name
        self._group = group
        self._mode = mode
        self._labels = tags
        self._run: Run | None = None
        self._row = 0
        self._last_step = 0
        self._artifacts: dict[str, Artifact] = {}  # by kind

    @property
    def is_local(self) -> bool:
        """Whether runs are not uploaded."""
        return self._mode != "online"

    def check_login(self) -> None:
        """:raises Sb3ExtError: if there is no login, and ``mode`` is ``online``"""
        if self._mode == "online" and not _has_key():
            with self._translating_refusals():
                import wandb

                wandb.login()

    def start(self, run: TrackedRun) -> str:
        """
        :param run: the run
        :return: W&B's id of the run
        :raises Sb3ExtError: if there is no login, or W&B refuses the run
        """
        self._artifacts.clear()
        run_id = run.id or uuid.uuid4().hex[:12]
        folder = run.directory / "tracking"
        folder.mkdir(exist_ok=True)
        with self._translating_refusals(run.id):
            import wandb

            if self._run is not None:  # after an error; this writes rows that W&B has in memory
                self._run.finish(exit_code=1)
            # Count before W&B creates files for this process.
            rows = count_rows_when_still(folder, run_id, _WRITE_TIMEOUT_SECONDS)
            self._run = wandb.init(
                project=self._project,
                entity=self._entity,
                id=run_id,
                name=self._run_name or run.name,
                group=self._group or (None if run.group is None else run.group.name),
                mode=self._mode,
                tags=self._labels,
                dir=str(folder),
                config={"sb3_ext": {**run.tags, **({} if run.parent_id is None else {"parent_id": run.parent_id})}},
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(
                    console="off",
                    disable_code=True,
                    init_timeout=_INIT_TIMEOUT_SECONDS,
                    save_code=False,
                    silent=True,
                    x_disable_stats=True,  # system/… is logged already
                ),
            )
            self._run.define_metric("*", step_metric=STEP_NAME)
        self._last_step = run.step or 0
        # A resumed run's step is that of its service only once the first row is logged.
        self._row = max(self._run.starting_step, self._run.step) if self._mode == "online" else rows
        return run_id

    @property
    def url(self) -> str | None:
        """URL of the run; ``None`` unless ``mode`` is ``online``."""
        if self._run is None or self._mode != "online":
            return None
        url: str | None = self._run.url
        return None if url is None else hide_secrets(url)

    def count_stored(self) -> int | None:
        """:return: number of rows that W&B has stored; rows in memory are lost when the process is killed"""
        return None if self._mode == "disabled" else self._row

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """:param parameters: nested parameters; values that a resume has changed are updated"""
        self._get_run().config.update(dict(parameters), allow_val_change=True)

    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        :param values: numbers by name
        :param step: environment transitions so far
        :param time_seconds: when they were measured
        """
        row = {**values, STEP_NAME: step, "_timestamp": time_seconds}
        self._get_run().log(row, step=self._row, commit=True)
        self._row += 1
        self._last_step = max(self._last_step, step)

    def log_artifact(self, path: Path, name: str) -> None:
        """
        Add a file to the artifact ``run-<id>``, ``videos-<id>`` or ``league-<id>``, of which :meth:`flush` logs a new
        version. Videos are also shown in the summary.

        :param path: the file
        :param name: its path in the artifact
        """
        import wandb

        kind = find_media_kind(name) or "run"
        artifact = self._artifacts.setdefault(kind, wandb.Artifact(f"{kind}-{self._get_run().id}", type=kind))
        artifact.add_file(str(path), name, overwrite=True)
        if is_video(name):
            self.log_video(path, name)

    def log_video(self, path: Path, name: str) -> None:
        """
        Show a video in the summary of the run, which, unlike the history, has no rows to count.

        :param path: the file
        :param name: name in the summary
        """
        import wandb

        self._get_run().summary[name] = wandb.Video(str(path))

    def flush(self) -> None:
        """Log the artifacts. W&B uploads them in the background."""
        for artifact in self._artifacts.values():
            self._get_run().log_artifact(artifact, aliases=["latest", f"step-{self._last_step}"])
        self._artifacts.clear()

    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        Upload the remaining values, and wait until they are uploaded.

        :param status: ``failed`` marks the run as failed
        :param summary: logged as the summary of the run
        """
        self.flush()
        run = self._get_run()
        run.summary.update({**summary, "status": status})
        run.finish(exit_code=1 if status == "failed" else 0)
        self._run = None
        if self._mode == "offline":
            # W&B's own process reports that the file is written slightly before it is.
            deadline = time.monotonic() + _WRITE_TIMEOUT_SECONDS
            while count_rows(Path(run.settings.sync_dir).parents[1], run.id) < self._row:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"W&B has not written all rows to {run.settings.sync_dir}")
                time.sleep(0.05)

    def _get_run(self) -> Run:
        assert self._run is not None, "started before"
        return self._run

    @contextmanager
    def _translating_refusals(self, run_id: str | None = None) -> Iterator[None]:
        from wandb.errors import AuthenticationError, CommError, UsageError

        try:
            yield
        except (CommError, UsageError) as error:
            text = hide_secrets(" ".join(str(error).split()))
            if isinstance(error, AuthenticationError) or "API key" in text:
                reason = text.partition(" Use `wandb login`")[0].rstrip(".")
                raise Sb3ExtError(
                    f"tracking.wandb: {reason}; run `wandb login`, set WANDB_API_KEY, or set mode: offline"
                ) from error
            if isinstance(error, UsageError):
                raise Sb3ExtError(f"tracking.wandb: {text}") from error
            if _DELETED in text and run_id is not None:
                raise Sb3ExtError(
                    f"tracking.wandb: W&B's run {run_id} of this run was deleted; restore it on the project's page, or "
                    "remove 'wandb' from tracking/state.json of the run to begin a new one"
                ) from error
            if _REFUSAL.search(text):
                raise Sb3ExtError(
                    f"tracking.wandb: refused: {text}; check WANDB_API_KEY, and your permissions for entity and project"
                ) from error
            raise


def _has_key() -> bool:
    """:return: whether there is an API key; then the service, which need not answer yet, is asked at the start"""
    from requests.utils import get_netrc_auth

    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    return bool(os.environ.get("WANDB_API_KEY") or get_netrc_auth(url))
