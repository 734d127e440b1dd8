"""What a directory is: that of a run, of a sweep (its runs differ in the seed), or of a study (its runs are trials)."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.runs.run import is_run

SWEEP_FILE = "sweep.json"
"""File of a directory whose runs differ only in their seeds."""

STUDY_LOG, STUDY_DATABASE, STUDY_JOURNAL = "tune.log", "study.db", "study.journal"
"""Files of the directory of a study; one of the last two is its storage unless another one is given."""

RUN, SWEEP, STUDY = "a run", "a sweep", "a study"


def find_kind(directory: Path) -> str | None:
    """
    :param directory: any path
    :return: :data:`RUN`, :data:`SWEEP` or :data:`STUDY`, as messages name it; ``None`` for anything else
    """
    try:
        if is_run(directory):
            return RUN
        if (directory / SWEEP_FILE).is_file():
            return SWEEP
        is_study = any((directory / name).is_file() for name in (STUDY_LOG, STUDY_DATABASE, STUDY_JOURNAL))
    except OSError:  # a directory that this user cannot read, or a name that is too long
        return None
    return STUDY if is_study else None
