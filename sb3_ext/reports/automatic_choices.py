"""The settings that a run chose itself, by a measurement at its start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sb3_ext.runs.run import Run

_KEYS = (
    ("agent", "engine"),
    ("agent", "threads"),
    ("parallel", "mode"),
    ("parallel", "num_envs_per_worker"),
    ("parallel", "num_workers"),
)


def find_automatic_choices(run: Run) -> frozenset[tuple[str, str]]:
    """
    Find settings that may differ between two runs of one configuration, since each run measures what is fastest.

    :param run: its directory
    :return: section and key of each such setting that neither the configuration as written nor the command line has
    """
    try:
        written = yaml.safe_load(run.paths.config.read_text())
    except (OSError, yaml.YAMLError):
        return frozenset()
    overrides = run.meta.get("overrides") or {}
    return frozenset(
        (section, key)
        for section, key in _KEYS
        if overrides.get(f"{section}.{key}", _find_value(written, section, key)) in (None, "auto")
        and section not in overrides
    )


def _find_value(written: Any, section: str, key: str) -> Any:
    values = written.get(section) if isinstance(written, Mapping) else None
    return values.get(key) if isinstance(values, Mapping) else None
