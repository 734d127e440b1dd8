from __future__ import annotations

import time

import pytest

from sb3_ext.phases import Phases


def test_the_first_phase_is_starting() -> None:
    phases = Phases()
    assert phases.current == "starting"
    assert list(phases.seconds) == ["starting"]


def test_the_time_of_each_phase_is_summed() -> None:
    phases = Phases()
    phases.enter("collecting")
    time.sleep(0.02)
    phases.enter("updating")
    phases.enter("collecting")
    time.sleep(0.02)
    assert phases.seconds["collecting"] >= 0.04
    assert phases.seconds["updating"] < phases.seconds["collecting"]


def test_the_current_phase_is_included() -> None:
    phases = Phases()
    before = phases.seconds["starting"]
    time.sleep(0.01)
    assert phases.seconds["starting"] >= before + 0.01


def test_listeners_are_called_only_on_changes() -> None:
    phases = Phases()
    names: list[str] = []
    phases.listeners.append(names.append)
    for name in ("collecting", "collecting", "updating", "collecting"):
        phases.enter(name)
    assert names == ["collecting", "updating", "collecting"]


def test_during_returns_to_the_previous_phase() -> None:
    phases = Phases()
    phases.enter("updating")
    with phases.during("evaluating"):
        assert phases.current == "evaluating"
        with phases.during("saving"):
            assert phases.current == "saving"
        assert phases.current == "evaluating"
    assert phases.current == "updating"


def test_during_returns_to_the_previous_phase_after_an_exception() -> None:
    phases = Phases()
    with pytest.raises(KeyError), phases.during("saving"):
        raise KeyError
    assert phases.current == "starting"


def test_the_time_of_an_earlier_process_is_added() -> None:
    phases = Phases()
    phases.enter("collecting")
    for _ in range(2):
        phases.load_state_dict({"collecting": 100.0, "saving": 7.0})
    assert 100 <= phases.seconds["collecting"] < 107
    assert phases.seconds["saving"] == 7.0
