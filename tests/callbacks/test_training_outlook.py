"""The finished share and the time left, when several bounds may end a training."""

from __future__ import annotations

import pytest

from sb3_ext.callbacks.measures.training_outlook import TrainingOutlook


class Hour:
    """A budget of time."""

    used_share = 0.0


def watch(total_steps: int | None, *, fps: float) -> TrainingOutlook:
    """:return: the outlook after half an hour of a training that may last an hour"""
    hour = Hour()
    outlook = TrainingOutlook(total_steps, [hour])
    for seconds in (0, 900, 1800):
        hour.used_share = seconds / 3600
        outlook.add(seconds, round(fps * seconds))
    return outlook


@pytest.mark.parametrize(
    ("total_steps", "share", "nearest_total_steps", "eta_seconds"),
    [
        (None, 0.5, None, 1800),
        (1_000_000, 0.5, None, 1800),  # at 100 steps a second 8,200 seconds would be left
        (200_000, 0.9, 200_000, 200),
    ],
)
def test_the_bound_that_ends_a_training_first_decides(
    total_steps: int | None, share: float, nearest_total_steps: int | None, eta_seconds: float
) -> None:
    outlook = watch(total_steps, fps=100)
    assert outlook.used_share == pytest.approx(share)
    assert outlook.nearest_total_steps == nearest_total_steps
    assert outlook.estimate_eta_seconds() == pytest.approx(eta_seconds)
    assert outlook.fps == 100


def test_without_a_bound_the_speed_is_all_that_is_known() -> None:
    outlook = TrainingOutlook()
    outlook.add(0, 0)
    outlook.add(10, 50)
    assert (outlook.fps, outlook.used_share, outlook.estimate_eta_seconds()) == (5, None, None)


def test_no_time_is_left_of_a_training_that_has_ended() -> None:
    assert watch(1_000_000, fps=100).estimate_eta_seconds(has_ended=True) is None
