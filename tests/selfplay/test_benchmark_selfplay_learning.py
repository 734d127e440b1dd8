"""``zoo_scripts/benchmark_selfplay_learning.py`` leaves out one ingredient of a training in each variant."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sb3_ext.config import load_config

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark_selfplay_learning")


def test_each_variant_is_another_valid_configuration(script: Any) -> None:
    loaded = {name: load_config(config, changes) for name, (config, changes) in script.VARIANTS.items()}
    whole = loaded.pop("all")
    assert whole == load_config("connect4_maskable_ppo")
    for name, config in loaded.items():
        assert config != whole, name
    assert loaded["without lookahead"].train.lookahead is None
    assert loaded["without start positions"].train.start_positions is None
    assert loaded["without symmetry"].train.symmetry is False


def test_an_exploiter_is_one_of_the_opponents(script: Any, tmp_path: Path) -> None:
    exploiter = tmp_path / "exploiter.zip"
    exploiter.touch()
    config = load_config(*script.make_exploited(str(exploiter)))
    assert config.train.opponent_sampler.params.heuristic_distribution[str(exploiter)] == 0.5


def test_curves_are_drawn(script: Any, tmp_path: Path) -> None:
    cells = ("late easy", "middle easy", "middle medium")
    curve = [{"step": step, "seconds": 1.0, **dict.fromkeys(cells, 0.9)} for step in (100, 200)]
    script.draw({"all": curve, "none of these": curve}, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1000
