"""torchrun and its ranks are ended at random moments, and the run continues exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("algorithm", "moments", "total_steps"), [("ppo", 20, 24_000), ("sac", 4, 3_000)])
def test_no_end_of_torchrun_or_of_a_rank_hangs_or_loses_anything(
    run_harness: Callable[..., str], algorithm: str, moments: int, total_steps: int
) -> None:
    options = ["--algorithm", algorithm, "--moments", str(moments), "--total-steps", str(total_steps)]
    assert "all equal" in run_harness("rank_kills.py", *options)
