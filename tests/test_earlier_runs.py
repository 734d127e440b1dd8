"""Runs that an earlier version wrote are shown, played and resumed; ``data/README.md`` says how they were made."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext import resume
from sb3_ext.cli import cli
from sb3_ext.runs.run import Run
from sb3_ext.vec.snapshots import layer_snapshots

pytestmark = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="recorded with NumPy 2, whose pickles NumPy 1 cannot read"
)

DATA = Path(__file__).parent / "data"

# Episodes that the earlier version itself finished between steps 128 and 256: their lengths, and of a game the results.
CARTPOLE = {0: ["24", "16", "17"], 1: ["87", "17"]}
LATER_LENGTHS = {
    "sequential": CARTPOLE,
    "subproc": CARTPOLE,
    "workers": CARTPOLE,
    "dqn": {0: ["12", "10", "11", "8", "10", "10", "9", "9", "9", "10", "10", "11", "10"]},
}
LATER_GAMES = [
    *("-1.0,3,episode_000000006,0", "1.0,4,episode_000000011,0", "-1.0,3,random,0", "-1.0,4,episode_000000011,0"),
    *("1.0,5,self,1", "-1.0,4,episode_000000017,1", "-1.0,3,episode_000000011,0", "-1.0,3,self,0"),
    *("-1.0,2,episode_000000006,0", "-1.0,4,episode_000000021,0", "-1.0,5,random,0", "-1.0,3,episode_000000011,0"),
    *("-1.0,4,episode_000000021,0", "1.0,3,self,1", "1.0,5,episode_000000021,0", "1.0,4,episode_000000011,0"),
    *("-1.0,2,random,1", "-1.0,5,random,0"),
]
LATER_GAMES_OF_PPO = [
    *("1.0,5,episode_000000013,0", "-1.0,4,random,0", "-1.0,4,self,1", "-1.0,6,random,0", "1.0,5,episode_000000013,1"),
    *("1.0,5,episode_000000013,0", "1.0,4,self,0", "-1.0,2,self,1", "-1.0,6,random,0", "-1.0,5,episode_000000027,0"),
    *("1.0,4,episode_000000013,0", "1.0,5,episode_000000027,0", "-1.0,6,random,0", "1.0,6,random,0", "1.0,6,random,0"),
    *("-1.0,5,random,0", "-1.0,5,episode_000000040,1", "-1.0,7,episode_000000013,0", "1.0,6,episode_000000027,0"),
    *("-1.0,4,episode_000000027,1", "-1.0,3,self,0", "-1.0,3,self,1", "1.0,3,episode_000000040,1", "-1.0,2,self,1"),
    *("1.0,7,random,1", "-1.0,3,random,0", "1.0,4,random,1", "1.0,4,random,0", "-1.0,2,random,1"),
]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def unpack(name: str, archive_name: str = "runs_0.1.0") -> Run:
    with tarfile.open(DATA / f"{archive_name}.tar.xz") as archive:
        archive.extractall(members=[item for item in archive if Path(item.name).parts[0] == name], filter="data")
    return Run(Path(name).absolute())


def read_monitor(run: Run, index: int) -> list[list[str]]:
    lines = (run.paths.monitor / f"{index}.monitor.csv").read_text().splitlines()[2:]
    return [line.split(",") for line in lines]


def read_resumes(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.paths.resumes.read_text().splitlines()]


class LookCallback(BaseCallback):
    """Keeps what the model is like when training begins."""

    def _on_training_start(self) -> None:
        self.seen = {
            "steps": self.model.num_timesteps,
            "updates": self.model._n_updates,
            "weights": {name: tensor.clone() for name, tensor in self.model.policy.state_dict().items()},
            "moments": self.model.policy.optimizer.state_dict()["state"][0]["exp_avg"].clone(),
            "normalization": self.model.get_vec_normalize_env().obs_rms.count,
        }

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("name", LATER_LENGTHS)
def test_an_earlier_run_resumes_exactly(name: str) -> None:
    run = unpack(name)
    earlier = {index: read_monitor(run, index) for index in LATER_LENGTHS[name]}
    resume(name, overrides=["train.total_steps=256"])
    for index, lengths in LATER_LENGTHS[name].items():
        rows = read_monitor(run, index)
        assert rows[: len(earlier[index])] == earlier[index]
        assert [row[1] for row in rows[len(earlier[index]) :]] == lengths
    assert "approximate" not in read_resumes(run)[-1]
    assert run.record.step == 256


@pytest.mark.parametrize(
    ("name", "archive_name", "later_games"),
    [("pool", "runs_0.1.0", LATER_GAMES), ("pool_ppo", "runs_format_1", LATER_GAMES_OF_PPO)],
)
def test_an_earlier_game_with_a_pool_resumes_exactly(name: str, archive_name: str, later_games: list[str]) -> None:
    run = unpack(name, archive_name)
    games = len(read_monitor(run, 0))
    resume(name, overrides=["train.total_steps=256"])
    assert [",".join(row[:2] + row[3:]) for row in read_monitor(run, 0)[games:]] == later_games
    assert "approximate" not in read_resumes(run)[-1]


def test_callbacks_of_an_earlier_run_go_on_where_they_were() -> None:
    run = unpack("callbacks", "runs_format_1")
    earlier = run.metrics
    resume("callbacks", overrides=["train.total_steps=4096"])
    # The one of the two callbacks that knows the best average since the beginning ends the run.
    assert (run.record.step, run.record.stop_reason) == (512, "plateau")
    assert run.record.stop_detail == "no mean return of episodes above 51.50 at 6 checks in a row"
    lengths = [[row[1] for row in read_monitor(run, index)] for index in range(2)]
    assert lengths[0] == ["15", "18", "22", "24", "16", "17", "27", "10", "35", "36", "25"]
    assert lengths[1] == ["87", "17", "29", "33", "18", "20", "25"]
    episodes = run.metrics["episodes"]
    assert episodes["return"][: len(earlier["episodes"]["return"])] == earlier["episodes"]["return"]
    assert len(episodes["return"]) == 18
    assert "approximate" not in read_resumes(run)[-1]


def test_everything_but_the_environments_is_restored_if_they_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_snapshots, "_OPTIONAL_LAYERS", frozenset())
    run = unpack("sequential")
    saved = PPO.load(run.paths.checkpoints / "latest" / "model.zip", device="cpu")
    look = LookCallback()
    resume("sequential", overrides=["train.total_steps=192"], callback=look)
    assert (look.seen["steps"], look.seen["updates"]) == (128, 4)
    for name, tensor in saved.policy.state_dict().items():
        torch.testing.assert_close(look.seen["weights"][name], tensor, rtol=0, atol=0)
    moments = saved.policy.optimizer.state_dict()["state"][0]["exp_avg"]
    torch.testing.assert_close(look.seen["moments"], moments, rtol=0, atol=0)
    assert look.seen["normalization"] > 128
    reason = read_resumes(run)[-1]["approximate"]
    assert reason.startswith("the checkpoint was written by an earlier version, or script, with other wrappers: ")
    assert f"this is approximate: {reason}" in run.paths.log.read_text()
    assert run.record.status == "completed"


def test_earlier_runs_are_listed_shown_played_drawn_and_compared() -> None:
    for name in ("sequential", "pool"):
        unpack(name)
    for arguments, expected in (
        (["runs", "list", "--root", ".", "--all"], "sequential"),
        (["runs", "show", "sequential"], "128/128"),
        (["runs", "show", "pool"], "128/128"),
        (["enjoy", "sequential", "--episodes", "1"], "mean return"),
        (["enjoy", "pool", "--episodes", "1"], "mean return"),
        (["plot", "pool"], "plot.png"),
        (["compare", "sequential", "pool"], "Not the same"),
    ):
        result = CliRunner().invoke(cli, arguments)
        assert (result.exit_code, expected in result.output) == (0, True), result.output
