"""Hyperparameter search with Optuna, in which nothing that was finished is lost."""

from __future__ import annotations

from importlib.util import find_spec

from sb3_ext.errors import MissingExtraError

if find_spec("optuna") is None:
    raise MissingExtraError("tuning", "tune")
