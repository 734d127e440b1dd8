"""torchrun and its ranks are ended at random moments, and the run continues exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rank_kills import make_config, start_torchrun
from rank_processes import run_commands
from run_digests import digest_run
from sb3_ext import load_run


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("algorithm", "moments", "total_steps"), [("ppo", 20, 24_000), ("sac", 4, 3_000)])
def test_no_end_of_torchrun_or_of_a_rank_hangs_or_loses_anything(
    run_harness: Callable[..., str], algorithm: str, moments: int, total_steps: int
) -> None:
    options = ["--algorithm", algorithm, "--moments", str(moments), "--total-steps", str(total_steps)]
    assert "all equal" in run_harness("rank_kills.py", *options)


@pytest.mark.slow
def test_torchrun_restarts_ranks_that_are_killed_and_the_run_resumes_exactly(tmp_path: Path) -> None:
    config = make_config("ppo", 1536, interval=128)
    whole, parts, path = tmp_path / "whole", tmp_path / "parts", tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    assert [end.exit_status for end in run_commands(["train", str(path), "--run-dir", str(whole)])] == [0, 0]
    config["train"]["callbacks"] += [
        {
            "type": "rank_faults:RankFaultCallback",
            "params": {
                "step": step,
                "rank": rank,
                "signal_name": "SIGKILL",
                "marker": str(tmp_path / f"killed_{rank}"),
            },
        }
        for rank, step in ((1, 500), (0, 1000))
    ]
    path.write_text(yaml.safe_dump(config))
    output = tmp_path / "output"
    launcher = start_torchrun(["train", str(path), "--run-dir", str(parts)], output, "--max-restarts", "2")
    assert launcher.wait(240) == 0, output.read_text()
    assert [(tmp_path / f"killed_{rank}").exists() for rank in (0, 1)] == [True, True]
    run = load_run(parts)
    assert (run.status, run.record.step) == ("completed", 1536)
    assert len(run.paths.resumes.read_text().splitlines()) == 2
    assert digest_run(parts) == digest_run(whole)
    assert "approximate" not in run.paths.log.read_text()
