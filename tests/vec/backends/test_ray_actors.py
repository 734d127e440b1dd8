"""Configurations of ``parallel.mode: ray``; found without Ray."""

from __future__ import annotations

from typing import Any

import pytest

from sb3_ext.building.fit import validate_setup
from sb3_ext.cli.flags import parse_flags
from sb3_ext.config import load_config
from sb3_ext.errors import MissingExtraError

CONFIG: dict[str, Any] = {
    "env": {"id": "CartPole-v1"},
    "parallel": {"mode": "ray", "num_envs": 8},
    "agent": {"id": "ppo"},
}


def test_a_missing_ray_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sb3_ext.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"parallel.mode: ray needs .*: pip install 'sb3-ext\[ray\]'"):
        validate_setup(load_config(CONFIG))


@pytest.mark.parametrize(
    ("mode", "chosen"), [("ray", "ray"), ("workers", "workers"), ("sequential", "workers"), ("auto", "workers")]
)
def test_the_flag_for_workers_keeps_a_mode_that_has_workers(mode: str, chosen: str) -> None:
    config = {**CONFIG, "parallel": {"mode": mode, "num_envs": 8}}
    parallel = load_config(config, parse_flags({"parallel_num_workers": "4"})).parallel
    assert (parallel.mode, parallel.num_workers) == (chosen, 4)
