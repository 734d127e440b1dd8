"""What sb3_ext.internals.optuna relies on in Optuna."""

from __future__ import annotations

import inspect

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from sb3_ext.internals.optuna import BaseJournalFileLock, allow_experimental, get_trial_id


def test_the_storage_knows_a_trial_by_its_id() -> None:
    study = optuna.create_study()
    trial = study.ask()
    assert trial.storage.get_trial(get_trial_id(trial)).number == trial.number
    study.tell(trial, 1.0)
    assert get_trial_id(study.trials[0]) == get_trial_id(trial)


def test_a_journal_takes_any_lock_with_this_base() -> None:
    assert issubclass(JournalFileSymlinkLock, BaseJournalFileLock)
    assert {"acquire", "release"} <= {name for name, _ in inspect.getmembers(BaseJournalFileLock, inspect.isfunction)}
    assert "lock_obj" in inspect.signature(JournalFileBackend).parameters


def test_experimental_features_warn_only_where_they_are_not_allowed() -> None:
    with pytest.warns(ExperimentalWarning):
        optuna.pruners.PatientPruner(None, patience=1)
    with allow_experimental():
        optuna.pruners.PatientPruner(None, patience=1)
