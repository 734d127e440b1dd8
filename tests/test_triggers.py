from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_ext.triggers import EveryEpisodes, EverySeconds, EverySteps

COUNTS = st.lists(st.integers(0, 1000), min_size=1).map(sorted)
INTERVALS = st.integers(1, 300)


@pytest.mark.parametrize(
    ("interval", "start", "counts", "fired"),
    [
        (10, 0, [0, 9, 10, 11, 19, 20], [10, 20]),
        (10, 0, [8, 16, 24, 32], [16, 24, 32]),
        (10, 0, [35, 36, 39, 40], [35, 40]),
        (10, 25, [25, 29, 30], [30]),
        (1, 0, [1, 2, 3], [1, 2, 3]),
        (0.5, 0.0, [0.4, 0.6, 0.9, 1.1], [0.6, 1.1]),
    ],
    ids=["at multiples", "past multiples", "several at once", "from a start", "every one", "seconds"],
)
def test_fires_when_a_multiple_is_reached(
    interval: float, start: float, counts: list[float], fired: list[float]
) -> None:
    trigger = EverySteps(interval, start)
    assert [count for count in counts if trigger.is_due(count)] == fired


@given(interval=INTERVALS, counts=COUNTS)
def test_fires_once_whenever_a_multiple_was_passed(interval: int, counts: list[int]) -> None:
    trigger = EverySteps(interval)
    last_fired = 0
    for count in counts:
        is_due = trigger.is_due(count)
        assert is_due == (count // interval > last_fired // interval)
        last_fired = count if is_due else last_fired


@given(interval=INTERVALS, counts=COUNTS, place=st.integers(0, 1000))
def test_fires_after_a_resume_where_the_uninterrupted_one_does(interval: int, counts: list[int], place: int) -> None:
    uninterrupted = EveryEpisodes(interval)
    for count in [count for count in counts if count <= place]:
        uninterrupted.is_due(count)
    resumed = EveryEpisodes(interval)
    resumed.skip_to(max((count for count in counts if count <= place), default=0))
    later = [count for count in counts if count > place]
    assert [resumed.is_due(count) for count in later] == [uninterrupted.is_due(count) for count in later]


@pytest.mark.parametrize("trigger", [EverySteps, EveryEpisodes, EverySeconds])
@pytest.mark.parametrize("interval", [0, -3])
def test_refuses_an_interval_that_is_not_positive(trigger: type[EverySteps], interval: int) -> None:
    with pytest.raises(ValueError, match=f"interval must be positive, but got {interval}"):
        trigger(interval)
