"""Find the configurations that come with the package: in the wheel, or beside it in a clone of the repository."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def find_shipped_configs() -> dict[str, Path]:
    """
    :return: name -> file of each shipped configuration, sorted by name
    """
    for place in _PLACES:
        files = sorted(place.glob("*.yaml"))
        if files:
            return {file.stem: file for file in files}
    return {}
