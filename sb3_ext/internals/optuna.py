"""Private names of Optuna, checked with 5.0.0."""

from __future__ import annotations

from optuna import Trial
from optuna.storages.journal._file import BaseJournalFileLock  # what JournalFileBackend takes; not exported
from optuna.trial import FrozenTrial

__all__ = ["BaseJournalFileLock", "get_trial_id"]


def get_trial_id(trial: Trial | FrozenTrial) -> int:
    """
    Read the id by which a storage knows a trial.

    :param trial: of any study
    :return: unique in its storage, unlike ``trial.number``
    """
    return trial._trial_id
