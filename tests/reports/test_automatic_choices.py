"""Runs of one configuration that measured different engines or modes to be the fastest are runs of one group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sb3_ext.reports.automatic_choices import find_automatic_choices
from sb3_ext.reports.seed_groups import identify_configuration
from sb3_ext.runs.run import Run


def identify(directory: Path, written: dict[str, Any], overrides: dict[str, Any], engine: str) -> str:
    directory.mkdir()
    (directory / "meta.json").write_text(json.dumps({"overrides": overrides}))
    run = Run(directory)
    run.paths.config.write_text(yaml.safe_dump(written))
    resolved = {"seed": 1, "agent": {"id": "dqn", "engine": engine}, "parallel": {"mode": "sequential"}}
    return identify_configuration(resolved, automatic=find_automatic_choices(run))


@pytest.mark.parametrize(
    ("agent", "overrides", "is_one_group"),
    [
        ({"id": "dqn"}, {"seed": 1}, True),
        ({"id": "dqn", "engine": "auto"}, {}, True),
        ({"id": "dqn", "engine": "xla"}, {"agent.engine": "auto"}, True),
        ({"id": "dqn"}, {"agent.engine": "xla"}, False),
        ({"id": "dqn", "engine": "xla"}, {}, False),
    ],
)
def test_only_an_engine_that_the_run_chose_itself_is_left_out(
    tmp_path: Path, agent: dict[str, Any], overrides: dict[str, Any], is_one_group: bool
) -> None:
    found = {identify(tmp_path / engine, {"agent": agent}, overrides, engine) for engine in ("xla", "torch")}

    assert (len(found) == 1) == is_one_group


def test_a_run_without_its_written_configuration_chose_nothing(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{}")

    assert find_automatic_choices(Run(tmp_path)) == frozenset()
