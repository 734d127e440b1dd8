"""Private names and experimental features of Optuna, checked with 5.0.0."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna import Trial
from optuna.exceptions import ExperimentalWarning
from optuna.storages.journal._file import BaseJournalFileLock  # what JournalFileBackend takes; not exported
from optuna.trial import FrozenTrial

__all__ = ["BaseJournalFileLock", "allow_experimental", "get_trial_id"]


def get_trial_id(trial: Trial | FrozenTrial) -> int:
    """
    Return the id of a trial in its storage.

    :param trial: trial of any study
    :return: the id, which is unique in the storage, unlike ``trial.number``
    """
    return trial._trial_id


@contextmanager
def allow_experimental() -> Iterator[None]:
    """Use experimental features of Optuna, such as its plots with matplotlib, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
