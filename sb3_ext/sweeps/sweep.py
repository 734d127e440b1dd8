"""The directory of a sweep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from sb3_ext.atomic import write_json
from sb3_ext.errors import RunError
from sb3_ext.runs.directory_kind import RUN, STUDY, SWEEP_FILE, find_kind
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.run import Run, is_half_created, is_run


class Sweep:
    """
    A directory of runs with different seeds, owned by this process until :meth:`close`::

        <directory>
        ├── sweep.json      the seeds
        ├── logs/           what each run has printed, seed_0.log
        └── seed_0/         a run directory for each seed

    :param directory: a new or empty directory, or that of a sweep, which is continued
    :param seeds: seeds; those that an earlier command has given remain
    :raises RunError: if the directory has something else, cannot be written, or another process owns the sweep
    """

    def __init__(self, directory: Path, seeds: Iterable[int]) -> None:
        self.directory = directory
        self._is_new = not directory.exists()
        file = directory / SWEEP_FILE
        kind = find_kind(directory)
        if kind in (RUN, STUDY):
            raise RunError(f"{directory}: is {kind}; --seeds needs a directory of its own: give another --run-dir")
        if directory.is_dir() and any(directory.iterdir()) and not file.exists():
            raise RunError(f"{directory}: is neither empty nor a sweep; give another --run-dir")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = RunLock(directory / "lock")
            known = json.loads(file.read_text())["seeds"] if file.exists() else []
            self.seeds = [*known, *(seed for seed in seeds if seed not in known)]
            self.logs.mkdir(exist_ok=True)
            write_json(file, {"seeds": self.seeds})
        except BlockingIOError:
            raise RunError(f"{directory}: another process runs this sweep; stop it first") from None
        except OSError as error:
            raise RunError(f"{directory}: cannot be written: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file}: corrupt; expected the seeds of the sweep") from error

    @property
    def logs(self) -> Path:
        """Directory of what the runs have printed."""
        return self.directory / "logs"

    def get_directory(self, seed: int) -> Path:
        """
        Get the run directory of a seed.

        :param seed: one of the seeds
        :return: its path
        """
        return self.directory / f"seed_{seed}"

    def get_log(self, seed: int) -> Path:
        """
        Get the file of what a run has printed.

        :param seed: one of the seeds
        :return: its path
        """
        return self.logs / f"seed_{seed}.log"

    def find_member(self, seed: int) -> Run | None:
        """
        Find the run of a seed.

        :param seed: one of the seeds
        :return: its run; ``None`` if there is none yet
        """
        directory = self.get_directory(seed)
        return Run(directory) if is_run(directory) and not is_half_created(directory) else None

    def is_complete(self, seed: int) -> bool:
        """
        Check whether a run has completed.

        :param seed: one of the seeds
        :return: whether there is nothing left to train
        """
        member = self.find_member(seed)
        return member is not None and member.status == "completed"

    @property
    def has_runs(self) -> bool:
        """Whether a run was created."""
        return any(is_run(path) for path in self.directory.iterdir())

    def close(self) -> None:
        """Release the sweep; if it is new and no run was created, remove its directory."""
        if self._is_new and not self.has_runs:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._lock.release()
