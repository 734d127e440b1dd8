"""Self-play from a configuration: train, resume, branch, evaluate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import sb3_ext
from sb3_ext.building.game_environments import make_game_eval_env
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError
from sb3_ext.runs.run import Run
from sb3_ext.training.loop import train_run
from sb3_ext.training.resuming import resume_run

CONFIG: dict[str, Any] = {
    "seed": 1,
    "game": {"id": "connect4", "params": {"rows": 4, "cols": 4, "in_a_row": 3}},
    "parallel": {"num_envs": 4},
    "agent": {
        "id": "maskable_ppo",
        "device": "cpu",
        "threads": 1,
        "params": {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {
        "total_steps": 768,
        "opponent_sampler": {
            "type": "pool",
            "params": {
                "self_play": {"start_episode": 10, "save_every": 15, "max_frozen_agents": 3, "sampling": "prioritized"},
                "heuristic_distribution": {"random": 0.5, "heuristic": 0.5},
            },
        },
        "callbacks": [{"type": "checkpoint", "params": {"interval": 128, "keep_last": None}}],
    },
    "eval": {"every_steps": 256, "episodes": 6},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has interrupted."""
    directory = tmp_path_factory.mktemp("games") / "whole"
    sb3_ext.train(CONFIG, run_dir=directory)
    return directory


def read_opponents(directory: Path) -> dict[str, bytes]:
    files = (path for path in (directory / "opponents").rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def read_weights(directory: Path) -> dict[str, torch.Tensor]:
    return sb3_ext.load(CheckpointStore(directory / "checkpoints").resolve("latest").path).policy.state_dict()


def assert_same_runs(first: Path, second: Path) -> None:
    ours, theirs = read_weights(first), read_weights(second)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_opponents(first) == read_opponents(second)
    assert Run(first).record.episode == Run(second).record.episode
    runs = [sb3_ext.load_run(directory) for directory in (first, second)]
    assert runs[0].metrics["episodes"]["return"] == runs[1].metrics["episodes"]["return"]
    assert runs[0].metrics["ratings"] == runs[1].metrics["ratings"]
    assert runs[0].record.rating == runs[1].record.rating


def test_a_game_trains_with_a_pool(whole: Path) -> None:
    run = sb3_ext.load_run(whole)
    assert run.record.stop_reason == "total_steps"
    assert len(list((whole / "opponents").iterdir())) >= 3
    bundle = CheckpointStore(whole / "checkpoints").resolve("latest")
    assert bundle.manifest.exact, bundle.manifest.exact_reason
    assert set(run.metrics["last_evaluation"]["returns"]) <= {-1.0, 0.0, 1.0}
    header, *rows = (whole / "monitor" / "0.monitor.csv").read_text().splitlines()[1:]
    assert header == "r,l,t,opponent,seat"
    assert {"random", "heuristic", "self"} <= {row.split(",")[3] for row in rows}
    log = (whole / "logs" / "training.log").read_text()
    assert "evaluations are against random (50%), heuristic (50%), half of the games in each seat" in log


@pytest.mark.parametrize("sampler", [CONFIG["train"]["opponent_sampler"], {"type": "random"}], ids=["pool", "random"])
def test_evaluations_have_opponents_of_their_own(sampler: dict[str, Any], tmp_path: Path) -> None:
    train = {**CONFIG["train"], "total_steps": 64, "opponent_sampler": sampler}
    evaluation = {"episodes": 6, "opponents": {"alpha_beta_2": 3}}
    config = {**CONFIG, "train": train, "eval": evaluation}
    sb3_ext.train(config, run_dir=tmp_path / "run")
    log = (tmp_path / "run" / "logs" / "training.log").read_text()
    assert "evaluations are against alpha_beta_2 (100%), half of the games in each seat" in log
    env = make_game_eval_env(load_config(config), 6)
    env.reset()
    assert env.unwrapped.get_opponent_names() == {"alpha_beta_2"}


def test_another_run_plays_in_the_pool_and_in_evaluations(whole: Path, tmp_path: Path) -> None:
    other = str(whole)
    pool = {"self_play": {"start_episode": 10_000}, "heuristic_distribution": {"alpha_beta_1": 0.5, other: 0.5}}
    train = {**CONFIG["train"], "total_steps": 256, "opponent_sampler": {"type": "pool", "params": pool}}
    config = {**CONFIG, "train": train, "eval": {"every_steps": 128, "episodes": 6, "opponents": {other: 1}}}
    uninterrupted, parts = tmp_path / "uninterrupted", tmp_path / "parts"
    sb3_ext.train(config, run_dir=uninterrupted)
    rows = (uninterrupted / "monitor" / "0.monitor.csv").read_text().splitlines()[2:]
    assert {row.split(",")[3] for row in rows} == {"alpha_beta_1", other}
    log = (uninterrupted / "logs" / "training.log").read_text()
    assert f"evaluations are against {other} (100%)" in log
    with pytest.raises(KeyError):
        sb3_ext.train(config, run_dir=parts, callback=stop_at(150))
    sb3_ext.resume(parts)
    assert_same_runs(parts, uninterrupted)


def test_a_resumed_game_equals_an_uninterrupted_one(whole: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(KeyError):
        sb3_ext.train(CONFIG, run_dir=parts, callback=stop_at(400))
    late = parts / "opponents" / "episode_000999999"
    late.mkdir()
    assert sb3_ext.resume(parts).record.stop_reason == "total_steps"
    assert not late.exists()
    assert_same_runs(whole, parts)


def test_a_run_killed_before_its_first_checkpoint_restarts_with_an_empty_pool(whole: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(KeyError):
        sb3_ext.train(CONFIG, run_dir=parts, callback=stop_at(400))
    shutil.rmtree(parts / "checkpoints")
    assert any((parts / "opponents").iterdir())
    sb3_ext.resume(parts)
    assert_same_runs(whole, parts)


def test_a_branch_copies_the_opponents(whole: Path, tmp_path: Path) -> None:
    copied = tmp_path / "moved elsewhere"
    shutil.copytree(whole, copied)
    older = CheckpointStore(copied / "checkpoints").list_bundles()[2]
    start = resume_run(older.path, run_dir=tmp_path / "branch")
    shutil.rmtree(copied / "opponents")
    train_run(start)
    ours, theirs = read_weights(whole), read_weights(tmp_path / "branch")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert {name for name in read_opponents(tmp_path / "branch") if name in read_opponents(whole)}


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_algorithms_without_masks_train(algorithm: str, tmp_path: Path) -> None:
    params = {"learning_starts": 16} if algorithm == "dqn" else {"n_steps": 16}
    agent = {"id": algorithm, "device": "cpu", "threads": 1, "params": params}
    sampler = {"opponent_sampler": {"type": "heuristic"}, "total_steps": 128}
    run = sb3_ext.train({**CONFIG, "agent": agent, "train": sampler}, run_dir=tmp_path / "run")
    assert run.record.stop_reason == "total_steps"


def test_a_checkpoint_can_be_the_opponent(whole: Path, tmp_path: Path) -> None:
    sampler = {"type": "checkpoint", "params": {"path": str(whole)}}
    train = {"opponent_sampler": sampler, "total_steps": 128}
    run = sb3_ext.train({**CONFIG, "train": train}, run_dir=tmp_path / "run")
    rows = (run.paths.monitor / "0.monitor.csv").read_text().splitlines()[2:]
    assert {row.split(",")[3] for row in rows} == {CheckpointStore(whole / "checkpoints").resolve("best").path.name}


def test_an_evaluation_is_reproducible_from_its_seed(whole: Path) -> None:
    run = sb3_ext.load_run(whole)
    first, again, other = (run.evaluate(episodes=20, seed=seed) for seed in (5, 5, 6))
    assert first.returns == again.returns
    assert (first.returns, first.lengths) != (other.returns, other.lengths)


def test_enjoy_plays_against_named_opponents(whole: Path, tmp_path: Path) -> None:
    def enjoy(*options: str) -> Any:
        return CliRunner().invoke(cli, ["enjoy", str(whole), *options])

    shown = enjoy("--against", "heuristic", "--episodes", "40", "--json", str(tmp_path / "match.json"))
    assert shown.exit_code == 0, shown.output
    found = json.loads((tmp_path / "match.json").read_text())
    first, second = found["moving_first"], found["moving_second"]
    assert sum(first.values()) == sum(second.values()) == 20
    [row] = [line.split() for line in shown.output.splitlines() if line.startswith("moving first")]
    assert row[2:5] == [str(first[name]) for name in ("wins", "draws", "losses")]
    wins, draws = first["wins"] + second["wins"], first["draws"] + second["draws"]
    assert found["score"] == pytest.approx((wins + draws / 2) / 40)
    assert enjoy("--against", "heuristic", "--episodes", "40").output == shown.output
    assert enjoy("--against", str(whole), "--episodes", "4").exit_code == 0
    unknown = enjoy("--against", "heuristics")
    assert unknown.exit_code == 2
    assert "unknown opponent 'heuristics'; did you mean 'heuristic'?" in unknown.output
    assert enjoy("--against", "random", "--render").exit_code == 2
    played = enjoy("--episodes", "4")
    assert played.exit_code == 0, played.output
    assert "success rate" in played.output


def stop_at(step: int) -> Any:
    def stop(metrics: dict[str, Any]) -> None:
        if metrics["step"] >= step:
            raise KeyError("stop")

    return stop


def learn_both_seats(algorithm: str) -> dict[str, Any]:
    """Half of the boards are mirror boards, and positions are seen in a mirror."""
    params = {"learning_starts": 16, "buffer_size": 400} if algorithm in ("dqn", "qrdqn") else {"n_steps": 16}
    opponents: Any = CONFIG["train"]["opponent_sampler"]["params"]
    self_play = {**opponents["self_play"], "mirror_fraction": 0.5}
    sampler = {"type": "pool", "params": {**opponents, "self_play": self_play}}
    starts = {"random": 0.2, "replay": 0.3, "lost": 0.2}
    train = {**CONFIG["train"], "total_steps": 512, "symmetry": True, "opening_plies": 2, "start_positions": starts}
    train["opponent_sampler"] = sampler
    return {
        **CONFIG,
        "agent": {"id": algorithm, "device": "cpu", "threads": 1, "params": params},
        "train": train,
        "eval": {"every_steps": None, "episodes": 4},
    }


@pytest.mark.parametrize(
    ("algorithm", "lookahead"),
    [
        pytest.param("maskable_ppo", None, marks=pytest.mark.slow),
        ("maskable_ppo", {}),
        pytest.param("ppo", {}, marks=pytest.mark.slow),
        ("dqn", None),
    ],
)
def test_a_resumed_run_with_mirror_boards_equals_an_uninterrupted_one(
    algorithm: str, lookahead: dict[str, Any] | None, tmp_path: Path
) -> None:
    config = learn_both_seats(algorithm)
    config["train"]["lookahead"] = lookahead
    sb3_ext.train(config, run_dir=tmp_path / "whole")
    with pytest.raises(KeyError):
        sb3_ext.train(config, run_dir=tmp_path / "parts", callback=stop_at(300))
    sb3_ext.resume(tmp_path / "parts")
    bundle = CheckpointStore(tmp_path / "whole" / "checkpoints").resolve("latest")
    assert bundle.manifest.exact, bundle.manifest.exact_reason
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    rows = (tmp_path / "whole" / "monitor" / "0.monitor.csv").read_text().splitlines()[2:]
    assert len(rows) == Run(tmp_path / "whole").record.episode > 0


def test_a_run_with_only_mirror_boards_is_evaluated(tmp_path: Path) -> None:
    config = learn_both_seats("ppo")
    config["train"]["opponent_sampler"]["params"]["self_play"]["mirror_fraction"] = 1.0
    run = sb3_ext.train(config, run_dir=tmp_path / "run")
    assert len(run.metrics["last_evaluation"]["returns"]) == 4
    assert run.metrics["episodes"]["return"] == []


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({"id": "recurrent_ppo"}, "mirror_fraction: recurrent_ppo has no buffer for this; use agent.id: ppo, a2c, dqn"),
        ({"id": "dqn", "params": {"replay_buffer_class": "ReplayBuffer"}}, "replay_buffer_class: cannot be set"),
    ],
)
def test_algorithms_without_mirror_boards_are_refused(agent: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        sb3_ext.train({**learn_both_seats("ppo"), "agent": agent}, run_dir=tmp_path / "run")


def test_symmetry_is_refused_for_a_game_without_mirror_images(tmp_path: Path) -> None:
    config = learn_both_seats("ppo")
    config["game"] = {"id": "pettingzoo.classic.tictactoe_v3"}
    with pytest.raises(ConfigError, match=r"train.symmetry: .*tictactoe_v3 has no method find_reflection"):
        sb3_ext.train(config, run_dir=tmp_path / "run")
