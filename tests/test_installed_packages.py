"""Versions of the installed packages."""

from __future__ import annotations

import importlib.metadata

from sb3_ext.installed_packages import list_packages, read_version


def test_a_version_is_found_by_any_spelling_of_the_name() -> None:
    expected = importlib.metadata.version("stable-baselines3")
    assert read_version("stable-baselines3") == read_version("Stable_Baselines3") == expected
    assert read_version("no-such-package") is None
    assert len(list_packages()) >= len(dict(list_packages())) > 20
