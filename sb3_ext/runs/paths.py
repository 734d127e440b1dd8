"""All file names of a run directory; other modules use these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FETCHED_MARK = "hub.json"
"""In a run directory that was fetched from others: where it is from."""

RUN_LINK = "run"
"""Name of the link to the run directory in a checkpoint directory outside of it."""


@dataclass(frozen=True)
class RunPaths:
    """
    Paths of the files of a run.

    ::

        runs/cartpole_ppo_2026-11-20_12-00-00/
        ├── config.yaml            the config file as given (overrides are in meta.json)
        ├── config.resolved.yaml   every value that was used, including defaults
        ├── meta.json              written once, at the start
        ├── resumes.jsonl          one line per resume: time, checkpoint, command, why approximate, previous end
        ├── requirements.txt       the exact installed packages
        ├── status.json            live; replaced atomically
        ├── pid                    while a process owns the run; removed on a clean exit
        ├── lock                   held by the owner until it ends (flock); the kernel frees it on kill -9
        ├── stop                   a request to stop; removed when the run has stopped
        ├── checkpoints/           step_000010000/ …, best, latest
        ├── opponents/             self-play pool: snapshots, ratings
        ├── exploiters/            runs of agents that were trained against this one: sb3-ext league --exploit
        ├── logs/training.log
        ├── tensorboard/
        ├── tracking/              for trackers other than TensorBoard: logged values, sent position, ids
        ├── monitor/               episode CSVs
        ├── evaluations.jsonl      one line per evaluation
        ├── metrics.json           all metrics, final (and after every checkpoint)
        ├── benchmark_metrics.json speed, memory, processor use; at the end
        ├── training_curves.png
        └── videos/

    :param root: the run directory
    """

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def resolved_config(self) -> Path:
        return self.root / "config.resolved.yaml"

    @property
    def meta(self) -> Path:
        return self.root / "meta.json"

    @property
    def resumes(self) -> Path:
        return self.root / "resumes.jsonl"

    @property
    def requirements(self) -> Path:
        return self.root / "requirements.txt"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def pid(self) -> Path:
        return self.root / "pid"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def stop(self) -> Path:
        return self.root / "stop"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def best_model(self) -> Path:
        return self.checkpoints / "best" / "model.zip"

    @property
    def latest_model(self) -> Path:
        return self.checkpoints / "latest" / "model.zip"

    @property
    def opponents(self) -> Path:
        return self.root / "opponents"

    @property
    def exploiters(self) -> Path:
        return self.root / "exploiters"

    @property
    def log(self) -> Path:
        return self.root / "logs" / "training.log"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def tracking_journal(self) -> Path:
        return self.root / "tracking" / "journal.jsonl"

    @property
    def tracked_model(self) -> Path:
        return self.root / "tracking" / "model"

    @property
    def tracking_states(self) -> Path:
        return self.root / "tracking" / "state.json"

    @property
    def monitor(self) -> Path:
        return self.root / "monitor"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations.jsonl"

    @property
    def other_evaluations(self) -> Path:
        return self.root / "evaluations"

    def get_other_evaluations(self, name: str) -> Path:
        """
        :param name: of an evaluation beside the first
        :return: its file
        """
        return self.other_evaluations / f"{name}.jsonl"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def benchmark_metrics(self) -> Path:
        return self.root / "benchmark_metrics.json"

    @property
    def training_curves(self) -> Path:
        return self.root / "training_curves.png"

    @property
    def replaced_files(self) -> tuple[Path, ...]:
        """Files that are written under a hidden name first; a killed process may leave that behind."""
        return (
            *(self.config, self.resolved_config, self.meta, self.requirements, self.status, self.pid),
            *(self.evaluations, self.metrics, self.benchmark_metrics, self.training_curves),
        )

    @property
    def videos(self) -> Path:
        return self.root / "videos"
