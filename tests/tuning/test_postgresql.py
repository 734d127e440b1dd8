"""Studies in a real PostgreSQL, which the tests start themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sb3_ext.errors import TuningError
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import DIRECTORY, open_study

from .conftest import DATA
from .test_study import CONTENDER, start_claimer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
MakePlan = Callable[..., TuningPlan]


def test_a_killed_processs_trial_is_taken_by_another_at_once(
    make_plan_here: MakePlan, postgresql: str, start_python: Any
) -> None:
    plan = make_plan_here(tune__storage=postgresql, tune__trials=1)
    claimer = start_claimer(start_python, plan)
    study = open_study(plan)
    assert study.claim_next() is None

    claimer.kill()
    claimer.wait()

    assert study.claim_next() is not None


def test_processes_that_contend_do_each_trial_once(
    make_plan_here: MakePlan, postgresql: str, start_python: Any
) -> None:
    plan = make_plan_here(tune__storage=postgresql, tune__trials=40)
    processes = [start_python(CONTENDER, json.dumps(plan.to_json())) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.communicate()[0].split() for process in processes]

    assert sorted(int(number) for line in lines for number in line[:-1]) == list(range(40))


def test_two_commands_in_different_directories_share_one_study(postgresql: str, tmp_path: Path) -> None:
    config = tmp_path / "shared.yaml"
    config.write_text(yaml.safe_dump({**DATA, "tune": {**DATA["tune"], "trials": 8, "storage": postgresql}}))
    places = [tmp_path / "here", tmp_path / "there"]
    processes = []
    for place in places:
        place.mkdir()
        command = [sys.executable, "-m", "sb3_ext", "tune", str(config), "--quiet"]
        processes.append(subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=900)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    runs = sorted(path.name for place in places for path in (place / "runs/mine").glob("trial_*"))
    assert runs == [f"trial_000{number}" for number in range(8)]
    assert all((place / "runs/mine/best.yaml").exists() for place in places)


def test_a_trial_whose_directory_is_unreachable_restarts(make_plan_here: MakePlan, postgresql: str) -> None:
    study = open_study(make_plan_here(tune__storage=postgresql, tune__trials=1))
    claim = study.claim_next()
    assert claim is not None
    claim.trial.set_user_attr(DIRECTORY, "/on/another/machine/trial_0000")
    study.put_back(claim)

    again = study.claim_next()

    assert again is not None
    assert again.number == 0


def test_a_database_that_is_not_there(make_plan_here: MakePlan, postgresql: str) -> None:
    with pytest.raises(TuningError, match="does not exist"):
        open_study(make_plan_here(tune__storage=postgresql.replace("/studies", "/no_studies")))
