"""Trials are claimed, put back and finished, also if their processes die. Nothing is trained here."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sb3_ext.errors import TuningError
from sb3_ext.runs.directory_kind import SWEEP_FILE
from sb3_ext.tuning import ownership
from sb3_ext.tuning.ownership import BEAT, OWNER, Heartbeat, get_claim
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import ERROR, Outcome, TuningStudy, open_study

MakePlan = Callable[..., TuningPlan]

CLAIMER = """
import json, sys
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import open_study

study = open_study(TuningPlan.from_json(json.loads(sys.argv[1])))
claim = study.claim_next()
study.plan.space.suggest(claim.trial)
print(claim.number, flush=True)
sys.stdin.read()
"""

CONTENDER = """
import json, sys
from optuna.trial import TrialState
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import Outcome, open_study

study = open_study(TuningPlan.from_json(json.loads(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
while (claim := study.claim_next()) is not None:
    study.plan.space.suggest(claim.trial)
    assert study.finish(claim, Outcome(TrialState.COMPLETE, [float(claim.number)]))
    print(claim.number, flush=True)
print("done", flush=True)
"""


@pytest.fixture(params=["sqlite", "journal"])
def storage(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "sqlite" else "journal"


def states(study: TuningStudy) -> list[str]:
    return [trial.state.name for trial in study.list_trials()]


def start_claimer(start_python: Any, plan: TuningPlan) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = start_python(CLAIMER, json.dumps(plan.to_json()))
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    return process


def test_the_first_trial_is_the_configurations_own(make_plan_here: MakePlan, storage: str | None) -> None:
    study = open_study(make_plan_here(tune__storage=storage))

    claim = study.claim_next()

    assert claim is not None
    assert study.plan.space.suggest(claim.trial) == {"agent.params.learning_rate": 0.001}


def test_as_many_are_taken_as_asked_for(make_plan_here: MakePlan, storage: str | None) -> None:
    study = open_study(make_plan_here(tune__storage=storage, tune__trials=2))
    first, second = study.claim_next(), study.claim_next()
    assert first is not None
    assert second is not None

    assert study.claim_next() is None
    assert not study.is_complete()
    assert study.finish(first, Outcome(TrialState.COMPLETE, [3.0]))
    assert study.finish(second, Outcome(TrialState.FAIL, error="no luck"))

    assert study.is_complete()
    assert [trial.value for trial in study.list_trials()] == [3.0, None]
    assert study.list_trials()[1].user_attrs[ERROR] == "no luck"


def test_a_released_trial_is_taken_first_with_the_same_values(make_plan_here: MakePlan, storage: str | None) -> None:
    study = open_study(make_plan_here(tune__storage=storage))
    study.claim_next()
    second = study.claim_next()
    assert second is not None
    values = study.plan.space.suggest(second.trial)
    second.trial.report(1.5, 10)
    study.put_back(second)
    assert states(study) == ["RUNNING", "WAITING"]

    again = open_study(study.plan).claim_next()

    assert again is not None
    assert again.number == 1
    assert study.plan.space.suggest(again.trial) == values
    assert study.list_trials()[1].intermediate_values == {10: 1.5}


def test_a_killed_processs_trial_is_taken_by_another_at_once(
    make_plan_here: MakePlan, storage: str | None, start_python: Any
) -> None:
    plan = make_plan_here(tune__storage=storage, tune__trials=1)
    claimer = start_claimer(start_python, plan)
    study = open_study(plan)
    assert study.claim_next() is None  # it lives

    claimer.kill()
    claimer.wait()
    claim = study.claim_next()

    assert claim is not None
    assert claim.number == 0
    assert study.finish(claim, Outcome(TrialState.COMPLETE, [1.0]))
    assert states(study) == ["COMPLETE"]


def test_who_was_taken_for_dead_records_nothing(
    make_plan_here: MakePlan, storage: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(make_plan_here(tune__storage=storage, tune__trials=1))
    first = study.claim_next()
    assert first is not None
    with monkeypatch.context() as patched:
        patched.setattr(ownership, "_is_alive", lambda _: False)
        second = study.claim_next()
    assert second is not None
    assert second.number == first.number

    assert study.finish(first, Outcome(TrialState.COMPLETE, [1.0])) is False
    study.put_back(first)

    assert states(study) == ["RUNNING"]
    assert study.finish(second, Outcome(TrialState.COMPLETE, [2.0])) is True
    assert study.list_trials()[0].value == 2.0


def test_a_trial_whose_process_was_killed_before_it_recorded_its_owner(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here())
    study.study.ask()
    study.study.ask()

    claims = [study.claim_next(), study.claim_next()]

    assert [claim.number for claim in claims if claim is not None] == [0, 1]


def test_a_trial_that_kills_its_processes_again_and_again_fails(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(make_plan_here(tune__trials=1))
    monkeypatch.setattr(ownership, "_is_alive", lambda _: False)

    claims = [study.claim_next() for _ in range(11)]

    assert [claim is not None for claim in claims] == [True] * 10 + [False]
    assert states(study) == ["FAIL"]
    assert "has died 10 times at the same checkpoint" in study.list_trials()[0].user_attrs[ERROR]


def test_another_machines_trial_is_taken_when_its_heart_stands_still(
    make_plan_here: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(make_plan_here(tune__trials=1))
    claim = study.claim_next()
    assert claim is not None
    owner = study.list_trials()[0].user_attrs[OWNER]
    claim.trial.set_user_attr(OWNER, {**owner, "host": "elsewhere"})
    now = 1000.0
    monkeypatch.setattr("sb3_ext.tuning.ownership.time.monotonic", lambda: now)

    for seconds in (0, 100, 100, 100):
        now += seconds
        claim.trial.set_user_attr(BEAT, now)
        assert study.claim_next() is None  # it beats
    now += 119
    assert study.claim_next() is None
    now += 2

    assert study.claim_next() is not None


def test_a_heartbeat_beats_and_notices_the_loss_of_its_trial(make_plan_here: MakePlan) -> None:
    study = open_study(make_plan_here())
    claim = study.claim_next()
    assert claim is not None
    is_lost = threading.Event()

    with Heartbeat(study.storage, claim.trial._trial_id, claim.mark, is_lost.set, every_seconds=0.01):
        while not study.list_trials()[0].user_attrs.get(BEAT):
            assert not is_lost.wait(0.01)
        claim.trial.set_user_attr(OWNER, {"claim": "another's"})
        assert is_lost.wait(60)

    assert get_claim(study.list_trials()[0]) == "another's"


@pytest.mark.parametrize("storage", [None, pytest.param("journal", marks=pytest.mark.slow)])
def test_processes_that_contend_do_each_trial_once(
    make_plan_here: MakePlan, storage: str | None, start_python: Any
) -> None:
    plan = make_plan_here(tune__storage=storage, tune__trials=10)
    processes = [start_python(CONTENDER, json.dumps(plan.to_json())) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.communicate()[0].split() for process in processes]

    assert [line[-1] for line in lines] == ["done", "done"]
    assert sorted(int(number) for line in lines for number in line[:-1]) == list(range(10))
    assert states(open_study(plan)) == ["COMPLETE"] * 10


def test_a_change_of_the_space_is_refused_and_told(make_plan_here: MakePlan) -> None:
    open_study(make_plan_here())
    space = {"agent.params.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}

    with pytest.raises(TuningError) as caught:
        open_study(make_plan_here(tune__space=space, train__total_steps=256))

    message = str(caught.value)
    assert "tune.space.agent.params.learning_rate: was" in message
    assert '"high": 0.01' in message
    assert '"high": 0.1' in message
    assert "train.total_steps: was 128, is 256" in message


def test_settings_that_do_not_affect_trials_may_change(make_plan_here: MakePlan) -> None:
    open_study(make_plan_here())

    study = open_study(make_plan_here(tune__trials=50, tune__jobs=3, tune__pruner="none", tune__sampler="random"))

    assert len(study.list_trials()) == 1


def test_there_has_to_be_a_study_to_resume(make_plan_here: MakePlan) -> None:
    with pytest.raises(TuningError, match=r"there is no study 'mine' in sqlite.*leave out --resume"):
        open_study(make_plan_here(), must_exist=True)
    assert not make_plan_here().directory.exists()


@pytest.mark.parametrize(("file", "kind"), [("status.json", "a run"), (SWEEP_FILE, "a sweep")])
def test_a_study_is_not_created_in_a_run_or_a_sweep(make_plan_here: MakePlan, file: str, kind: str) -> None:
    directory = make_plan_here().directory
    directory.mkdir()
    (directory / file).write_text("{}")
    with pytest.raises(TuningError, match=f"is {kind}; a study needs a directory of its own: give another --study-dir"):
        open_study(make_plan_here())
    assert [path.name for path in directory.iterdir()] == [file]


def test_a_study_of_another_program_is_refused(make_plan_here: MakePlan) -> None:
    plan = make_plan_here()
    plan.directory.mkdir()
    optuna.create_study(study_name="mine", storage=plan.storage).add_trial(optuna.trial.create_trial(value=1.0))

    with pytest.raises(TuningError, match="was not made by sb3-ext; choose another name"):
        open_study(plan)


def test_trials_of_a_study_that_is_gone_are_not_taken_for_this_ones(make_plan_here: MakePlan) -> None:
    plan = make_plan_here()
    (plan.directory / "trial_0003").mkdir(parents=True)

    with pytest.raises(TuningError, match="such as trial_0003, of a study that is not in"):
        open_study(plan)


@pytest.mark.parametrize(
    ("storage_url", "message"),
    [
        ("mongodb://host/db", "expected journal, sqlite:///FILE"),
        ("sqlite:///", "expected a file"),
        ("postgresql://user:secret@127.0.0.1:1/nothing", "cannot be opened"),
        ("sqlite:////proc/nothing/study.db", "cannot be opened"),
        ("journal:////proc/nothing/study.journal", "cannot be opened"),
    ],
)
def test_a_storage_that_cannot_be_reached(make_plan_here: MakePlan, storage_url: str, message: str) -> None:
    with pytest.raises(TuningError, match=message) as caught:
        open_study(make_plan_here(tune__storage=storage_url))

    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_a_study_is_refused(make_plan_here: MakePlan, tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    path.write_bytes(b"not a database, but rather long" * 100)

    with pytest.raises(TuningError, match="cannot be opened"):
        open_study(make_plan_here(tune__storage=f"sqlite:///{path}"))


def test_random_numbers_do_not_repeat_when_a_study_continues(make_plan_here: MakePlan) -> None:
    plan = make_plan_here(tune__sampler="random", tune__trials=6)
    values = []
    for _ in range(6):
        study = open_study(plan)
        claim = study.claim_next()
        assert claim is not None
        values.append(study.plan.space.suggest(claim.trial)["agent.params.learning_rate"])
        study.finish(claim, Outcome(TrialState.COMPLETE, [0.0]))

    assert len(set(values)) == 6
