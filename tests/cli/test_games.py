"""Runs of a game: their league, their matches, and a person's games, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from click.testing import CliRunner, Result

import sb3_ext
from sb3_ext.cli import cli

CONFIG = {
    "seed": 1,
    "game": {"id": "connect4", "params": {"rows": 4, "cols": 4, "in_a_row": 3}},
    "parallel": {"num_envs": 4},
    "agent": {
        "id": "maskable_ppo",
        "device": "cpu",
        "params": {"n_steps": 16, "batch_size": 64, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {
        "total_steps": 256,
        "opponent_sampler": {
            "type": "pool",
            "params": {
                "self_play": {"start_episode": 10, "save_every": 20},
                "heuristic_distribution": {"random": 0.5, "smart_heuristic": 0.5},
            },
        },
        "callbacks": [{"type": "checkpoint", "params": {"interval": 128}}],
    },
    "eval": {"every_steps": 128, "episodes": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "mine"
    sb3_ext.train(CONFIG, run_dir=directory)
    return directory


def invoke(*arguments: Any, keys: str = "") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=keys)


def test_a_league_is_tables_a_picture_and_json(run: Path, tmp_path: Path) -> None:
    picture, results = tmp_path / "league.png", tmp_path / "league.json"
    arguments = ("--games", 20, "--checkpoints", 3, "--output", picture, "--json", results)
    outcome = invoke("league", run, *arguments)
    assert outcome.exit_code == 0, outcome.output
    content = json.loads(results.read_text())
    names = [player["name"] for player in content["players"]]
    assert names[3:] == ["random", "heuristic", "alpha_beta_2", "alpha_beta_4", "mcts_100"]
    assert names[0] == "step_000000256"
    notes = {player["name"]: player["note"] for player in content["players"]}
    assert notes["random"] == notes["alpha_beta_4"] == "trained against"
    assert notes["heuristic"] == notes["mcts_100"] == ""
    assert len(content["pairings"]) == 8 * 7 / 2
    assert {pairing["games"] for pairing in content["pairings"]} == {20}
    assert content["forgetting"]["against"] in names[1:3]
    assert (content["id"], content["params"]["rows"], content["opening_plies"]) == ("connect4", 4, [2, 4])
    assert matplotlib.image.imread(picture).shape[0] > 400
    for text in (
        "Ratings",
        "Score of the row",
        "Results of step_000000256",
        "forgetting: ",
        "distinct games: at least",
    ):
        assert text in outcome.stdout


@pytest.mark.parametrize("arguments", [(), ("--x", "time"), ("--csv", "runs.csv")])
def test_a_run_of_a_game_is_plotted(run: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    given = [str(tmp_path / item) if item.endswith(".csv") else item for item in arguments]
    result = CliRunner().invoke(cli, ["plot", str(run), "-o", str(tmp_path / "plot.png"), *given])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    if given:
        return
    both = CliRunner().invoke(cli, ["plot", str(run), str(run), "-o", str(tmp_path / "both.svg")])
    assert both.exit_code == 0, both.output


def test_opponents_of_a_league_can_be_chosen(run: Path, tmp_path: Path) -> None:
    arguments = ("--games", 4, "--checkpoints", "latest", "--against", "alpha_beta_1", "--output", tmp_path / "a.svg")
    outcome = invoke("league", run, *arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "alpha_beta_1" in outcome.stdout
    assert "heuristic" not in outcome.stdout
    assert "takes more than one agent" in outcome.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_the_same_seed_gives_the_same_league(run: Path, tmp_path: Path) -> None:
    def play(seed: int) -> Any:
        arguments = ("--games", 10, "--against", "heuristic", "--output", tmp_path / "a.png")
        assert invoke("league", run, *arguments, "--json", tmp_path / "a.json", "--seed", seed).exit_code == 0
        return {**json.loads((tmp_path / "a.json").read_text()), "seed": None}

    assert play(1) == play(1)
    assert play(1) != play(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--games", "0"), "x>=2"),
        (("--checkpoints", "some"), "expected all, best, latest or a positive number, but got 'some'"),
        (("--checkpoints", "0"), "expected all, best, latest or a positive number, but got '0'"),
        (("--output", "league.txt"), "expected a name that ends in .png or .svg"),
        (("--output", "no/such/folder/league.png"), "cannot be written: its directory does not exist"),
        (("--json", "no/such/folder/league.json"), "cannot be written: its directory does not exist"),
        (("--against", "nobody"), "unknown opponent 'nobody'"),
        (("--against", "alpha_beta_0"), "expected a positive number, found 0"),
    ],
)
def test_mistakes_are_told_without_a_traceback(run: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = invoke("league", run, *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert "Traceback" not in outcome.output


def test_a_match_has_intervals_for_either_seat(run: Path, tmp_path: Path) -> None:
    outcome = invoke("enjoy", run, "--against", "mcts_5", "--episodes", 40, "--json", tmp_path / "match.json")
    assert outcome.exit_code == 0, outcome.output
    content = json.loads((tmp_path / "match.json").read_text())
    low, high = content["interval95"]
    lines = outcome.stdout.splitlines()
    assert lines[3].endswith(f"{content['score']:.1%}  {low:.1%} to {high:.1%}")
    assert [line.count(" to ") for line in lines[1:4]] == [1, 1, 1]
    assert lines[4] == f"40 games from random openings, {content['distinct_games']} of them different"


def test_a_match_against_a_checkpoint_of_its_own_is_even(run: Path) -> None:
    outcome = invoke("enjoy", run / "checkpoints" / "latest", "--against", run / "checkpoints" / "latest", "-e", 50)
    assert outcome.exit_code == 0, outcome.output
    assert " 50.0%  " in outcome.stdout.splitlines()[3]


def test_a_person_plays_through_a_pipe(run: Path) -> None:
    outcome = invoke("enjoy", run, "--human", "--seat", "first", "--seed", 0, keys="1hu234q")
    assert outcome.exit_code == 0, outcome.output
    assert "hint: how likely the agent would play it" in outcome.stdout
    assert "│ 1 2 3 4 │" in outcome.stdout
    assert "games: " in outcome.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--human", "--against", "random"), "--human cannot be given with"),
        (("--human", "--json", "a.json"), "--human cannot be given with"),
        (("--against", "runs/nobody"), "there is no such run or checkpoint"),
    ],
)
def test_options_that_exclude_each_other_are_refused(run: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = invoke("enjoy", run, *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.output


def test_a_run_that_is_not_of_a_game_is_refused(tmp_path: Path) -> None:
    config = {
        "env": {"id": "CartPole-v1"},
        "agent": {"id": "ppo", "device": "cpu", "params": {"n_steps": 32, "batch_size": 32, "n_epochs": 1}},
        "train": {"total_steps": 32},
        "eval": {"every_steps": None, "episodes": 1},
    }
    sb3_ext.train(config, run_dir=tmp_path / "run")
    for command, *options in (("league",), ("enjoy", "--human")):
        outcome = invoke(command, tmp_path / "run", *options)
        assert outcome.exit_code == 2
        assert "two" in outcome.output
        assert "CartPole-v1" in outcome.output


def test_a_run_of_a_game_says_its_rating(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    ratings = json.loads((run / "metrics.json").read_text())["ratings"]
    assert ratings["agent"]["mu"] == status["rating"]
    assert ratings["agent"]["sigma"] == status["rating_sigma"]
    assert {"random", "smart_heuristic"} <= set(ratings)
    assert ratings["agent"]["games"] == sum(ratings[name]["games"] for name in ratings if name != "agent")
    assert "rating/mu" in json.loads((run / "metrics.json").read_text())["training"]
    assert "rating" in invoke("runs", "show", run).stdout


@pytest.mark.parametrize("words", [["--render"], ["--video", "film.gif"]], ids=" ".join)
def test_a_game_is_not_shown_in_a_window_or_filmed(
    run: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":9")
    message = (
        "--render and --video show Gymnasium environments, but this is the game connect4; `sb3-ext enjoy RUN --human`"
    )
    shown = invoke("enjoy", run, *words)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert message in shown.stderr.splitlines()[-1]


def test_a_training_of_a_game_is_not_shown_in_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":9")
    outcome = invoke("train", "connect4_dqn", "--render", "--run-dir", tmp_path / "run")
    assert outcome.exit_code == 2
    assert "--render and --video show Gymnasium environments" in outcome.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()
