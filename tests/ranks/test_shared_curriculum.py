"""All ranks begin a stage together, also if only rank 0 has the evaluation that its rule needs."""

from __future__ import annotations

import pytest

from rank_processes import run_ranks
from rank_trainings import learn_in_stages


@pytest.mark.slow
def test_ranks_begin_stages_together() -> None:
    first, second = run_ranks(
        learn_in_stages,
        [
            {"set": {"force_mag": 5.0}},
            {"when": {"return": 1, "by": "evaluation"}, "set": {"force_mag": 6.0}},
            {"when": {"stage_steps": 128}, "set": {"force_mag": 7.0}},
        ],
    )

    assert first == second
    assert [change["step"] for change in first["changes"]] == [0, 64, 192]
    assert first["force"] == [7.0, 7.0]
