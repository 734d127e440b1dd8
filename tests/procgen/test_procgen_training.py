"""Runs with Procgen, as a user starts them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sb3_ext_envs.procgen_vec_env import ProcgenVecEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_ext import ConfigError, train
from sb3_ext.building.training_environments import make_eval_env, try_exactness
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.config import dump_config, load_config

pytestmark = pytest.mark.procgen

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("procgen_*.yaml"))
TINY: dict[str, Any] = {
    "seed": 3,
    # Episodes of dodgeball are short.
    "env": {
        "id": "procgen-dodgeball-v0",
        "params": {"distribution_mode": "easy", "num_levels": 5},
        "normalize": {"norm_obs": False},
        "frame_stack": 2,
    },
    "parallel": {"mode": "native", "num_envs": 3},
    "agent": {
        "id": "ppo",
        "device": "cpu",
        "threads": 1,
        "params": {
            "n_steps": 16,
            "batch_size": 24,
            "n_epochs": 1,
            "policy_kwargs": {
                "features_extractor_class": "ImpalaCNN",
                "features_extractor_kwargs": {"channels": [2, 2, 2], "features_dim": 8},
            },
        },
    },
    "train": {"total_steps": 480, "callbacks": [{"type": "checkpoint", "params": {"interval": 48}}]},
    "eval": {"every_steps": 240, "episodes": 2, "env": {"params": {"num_levels": 0, "start_level": 200_000}}},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_shipped_configuration_trains(name: str, tmp_path: Path) -> None:
    is_native = load_config(name).parallel.mode == "native"
    environments = {
        "sequential": ["parallel.num_envs=2"],
        "workers": ["parallel.num_workers=2", "parallel.num_envs_per_worker=1"],
        "native": ["parallel.num_envs=2"],
    }
    run = train(
        name,
        run_dir=tmp_path / "run",
        overrides=[
            *environments[load_config(name).parallel.mode],
            *("agent.params.n_steps=8", "agent.params.batch_size=16", "agent.threads=1", "train.total_steps=16"),
            *("eval.every_steps=null", *([] if is_native else ["env.max_steps=4", "eval.episodes=2"])),
        ],
    )

    assert run.record.stop_reason == "total_steps"
    assert "resuming from checkpoints will be exact" in run.paths.log.read_text()
    assert is_native or run.metrics["last_evaluation"]["episodes"] == 2


def test_a_native_run_that_is_killed_repeatedly_equals_an_uninterrupted_one(
    tmp_path: Path, run_harness: Callable[..., str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))

    run_harness("kill_and_resume.py", str(path), "--kills", "2")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_of_separate_games_that_is_killed_resumes_exactly_in_other_processes(
    tmp_path: Path, run_harness: Callable[..., str]
) -> None:
    path = tmp_path / "tiny.yaml"
    config = load_config(
        TINY,
        [
            *(
                "parallel.mode=sequential",
                "parallel.num_envs=4",
                "agent.params.n_steps=4",
                "agent.params.batch_size=16",
            ),
            *("train.total_steps=768", "train.callbacks.checkpoint.params.interval=16", "eval.every_steps=null"),
        ],
    )
    path.write_text(dump_config(config))

    run_harness("kill_and_resume.py", str(path), "--elastic", "--kills", "5", "--fork")


def test_evaluations_are_native_and_have_their_own_levels() -> None:
    config = load_config(TINY)
    assert try_exactness(config).exact
    with closing(make_eval_env(config, num_envs=3)) as env:
        env.seed(1)
        env.reset()
        assert isinstance(env.unwrapped, ProcgenVecEnv)
        assert all(info["level_seed"] > 4 for info in env.unwrapped.reset_infos)
    with closing(make_eval_env(config, num_envs=1, render_mode="rgb_array")) as env:
        assert isinstance(env.unwrapped, DummyVecEnv)  # so that the last picture of an episode can be kept


def test_a_run_can_be_watched_and_its_agent_is_loaded_without_running_code(tmp_path: Path) -> None:
    run = train(TINY, run_dir=tmp_path / "run", overrides=["train.total_steps=96", "eval.every_steps=null"])
    bundle = CheckpointStore(run.paths.checkpoints).resolve("latest")
    assert bundle.manifest.model.own_code == []
    found = CliRunner().invoke(
        cli, ["enjoy", str(run.paths.root), "--episodes", "1", "--video", str(tmp_path / "video.gif")]
    )

    assert found.exit_code == 0, found.output
    assert (tmp_path / "video.gif").stat().st_size > 10_000


def test_levels_that_do_not_exist_are_refused_with_nothing_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dodgeball has the distribution_mode easy, hard, extreme, memory, but got"):
        train(TINY, run_dir=tmp_path / "run", overrides=["env.params.distribution_mode=exploration"])
    assert not (tmp_path / "run").exists()
