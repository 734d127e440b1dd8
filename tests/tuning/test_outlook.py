from __future__ import annotations

from typing import Any

import pytest

from sb3_ext.advising.agent_cost import AgentCost
from sb3_ext.errors import ConfigError
from sb3_ext.problems import describe_seconds
from sb3_ext.runs.memory_limits import MemoryLimit
from sb3_ext.tuning import outlook
from sb3_ext.tuning.outlook import describe_outlook
from sb3_ext.tuning.plan import make_plan

DATA: dict[str, Any] = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}}
SPACE = {"agent.params.gamma": {"type": "float", "low": 0.9, "high": 0.99}}
LAST = "Ctrl+C stops it, and the same command continues it; --trials and --timeout limit it"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "count_cores", lambda: 2)
    # A step of the one environment takes a millisecond to collect and one to learn from: 500 steps per second.
    monkeypatch.setattr(outlook, "measure_agent", lambda config, seconds: AgentCost(1e-3, 1e-4, 1e-3, 1))


def test_a_file_without_a_section_gets_a_modest_study() -> None:
    plan = make_plan({**DATA, "train": {"total_steps": 1_000_000}})
    assert plan.settings.trials == 20
    keys = len(plan.space.dimensions)
    assert describe_outlook(plan) == [
        "<config> has no section tune: defaults are used, such as --trials 20".replace("<config>", plan.source.place),
        f"study CartPole-v1_ppo: 20 trials, one at a time; values for {keys} keys from the default space of the "
        "algorithm",
        "each trial trains 1,000,000 steps; the median pruner ends bad ones early",
        "in all up to 20,000,000 steps; about 11 h 6 min at the 500 steps per second measured now, beside evaluations "
        "and before anything is pruned",
        LAST,
    ]


def test_only_the_remaining_trials_of_a_study_count() -> None:
    tune = {"trials": 30, "jobs": 4, "seeds": 2, "pruner": "none", "study": "mine", "space": SPACE, "timeout": "10m"}
    plan = make_plan({**DATA, "train": {"total_steps": 100_000, "total_episodes": 50}, "tune": tune})
    assert describe_outlook(plan, ended=20) == [
        "study mine: 30 trials, 20 of them done, 4 at a time; values for 1 key from tune.space",
        "each trial trains 100,000 steps or 50 episodes in each of 2 runs",
        "in all up to 2,000,000 steps, at most 10 min; about 10 min at the 500 steps per second measured now, beside "
        "evaluations and before anything is pruned",
        LAST,
    ]


def test_trials_of_a_time_take_that_time() -> None:
    plan = make_plan({**DATA, "train": {"duration": "10m"}, "tune": {"trials": 6, "jobs": 2, "space": SPACE}})
    assert describe_outlook(plan)[1:3] == [
        "each trial trains 10 min; the median pruner ends bad ones early",
        "in all 6 trainings, at most 30 min",
    ]


def test_a_short_study_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "measure_agent", lambda config, seconds: pytest.fail("measured"))
    plan = make_plan({**DATA, "train": {"total_steps": 100}, "tune": {"space": SPACE}})
    assert describe_outlook(plan)[-2] == "in all up to 2,000 steps"


def test_a_rollout_that_is_too_long_to_measure_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "measure_agent", lambda config, seconds: AgentCost(None, 1e-3, 2e-3, 1))
    monkeypatch.setattr(outlook, "measure_step_seconds", lambda factory: 1e-3)
    plan = make_plan({**DATA, "parallel": {"num_envs": 2}, "train": {"total_steps": 10**6}, "tune": {"space": SPACE}})
    # Two environments step in 2 ms, the network takes 3 ms more.
    assert "at the 400 steps per second measured now" in describe_outlook(plan)[-2]


def test_an_environment_that_fails_is_left_to_the_first_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: Any, seconds: float) -> AgentCost:
        raise ZeroDivisionError

    monkeypatch.setattr(outlook, "measure_agent", fail)
    plan = make_plan({**DATA, "train": {"total_steps": 10**6}, "tune": {"space": SPACE}})
    assert describe_outlook(plan)[-2] == "in all up to 20,000,000 steps"


def test_a_study_whose_workers_do_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = MemoryLimit("this machine", 2**27, 2**27)
    monkeypatch.setattr("sb3_ext.building.memory.list_memory_limits", lambda: [limit])
    data = {**DATA, "agent": {"id": "dqn"}, "tune": {"space": SPACE}}
    make_plan(data)
    with pytest.raises(ConfigError, match=r"agent\.params\.buffer_size: .* tune\.jobs: 8 times that"):
        make_plan(data, ["tune.jobs=8"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (60, "1 min"), (89.6, "1 min 30 s"), (40_000, "11 h 6 min"), (10**6, "11 d 13 h")],
)
def test_times_have_two_units(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
