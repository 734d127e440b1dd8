"""Every shipped configuration loads and trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext.config import find_shipped_configs, load_config

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[1] / "configs").iterdir())


def test_every_file_is_found_by_its_name() -> None:
    assert CONFIGS
    assert list(find_shipped_configs()) == CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_it_loads_by_name_and_is_reproducible(name: str) -> None:
    assert load_config(name).seed is not None
