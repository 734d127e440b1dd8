"""Runs of a game: their league, their matches, and a person's games, by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import yaml
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import sb3_ext
from openspiel import needs_openspiel
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.errors import MissingExtraError

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
    "eval": {"every_steps": 128, "episodes": 4, "positions": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "mine"
    sb3_ext.train(CONFIG, run_dir=directory)
    return directory


def invoke(*arguments: Any, keys: str = "") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=keys)


@needs_openspiel
def test_a_league_is_tables_a_picture_and_json(run: Path, tmp_path: Path) -> None:
    picture, results = tmp_path / "league.png", tmp_path / "league.json"
    arguments = ("--games", 20, "--checkpoints", 3, "--positions", 8, "--output", picture, "--json", results)
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
        "Play against the truth: right moves in %",
        "all positions solved",
        "Worst mistakes of step_000000256",
    ):
        assert text in outcome.stdout
    judged = content["positions"]
    assert (judged["solver"], judged["is_exact"], judged["is_complete"]) == ("all positions solved", True, False)
    players = {player["name"]: player for player in judged["players"]}
    assert list(players) == names
    assert {player["positions"] for player in players.values()} == {48}
    assert players["mcts_100"]["share"] > 0.85 > players["random"]["share"]
    assert list(players["random"]["cells"]) == [
        *("early easy", "early medium", "early hard", "middle easy", "middle medium", "late easy")
    ]
    mistake = players["step_000000256"]["worst_mistakes"][0]
    assert (mistake["best_result"], mistake["result"]) == ("win", "loss")
    assert mistake["move"] not in mistake["right_moves"]
    assert players["random"]["worst_mistakes"] == []


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
    outcome = invoke("league", run, *arguments, "--no-positions")
    assert "truth" not in outcome.stdout
    assert outcome.exit_code == 0, outcome.output
    assert "alpha_beta_1" in outcome.stdout
    assert "heuristic" not in outcome.stdout
    assert "takes more than one agent" in outcome.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_the_same_seed_gives_the_same_league(run: Path, tmp_path: Path) -> None:
    def play(seed: int) -> Any:
        arguments = ("--games", 10, "--positions", 2, "--against", "perfect", "--output", tmp_path / "a.png")
        assert invoke("league", run, *arguments, "--json", tmp_path / "a.json", "--seed", seed).exit_code == 0
        return {**json.loads((tmp_path / "a.json").read_text()), "seed": None}

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_positions_without_the_solver_are_refused_before_any_game(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(_: object) -> None:
        raise MissingExtraError("the exact solver of Connect4", "solver")

    monkeypatch.setattr("sb3_ext.selfplay.solvers.solver_choice.choose_solver", miss)
    outcome = invoke("league", run, "--positions", 5)
    message = "--positions needs an optional dependency: pip install 'sb3-ext[solver]'; or leave out --positions\n"
    assert (outcome.exit_code, outcome.output) == (2, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--games", "0"), "x>=2"),
        (("--checkpoints", "some"), "expected all, best, latest or a positive number, but got 'some'"),
        (("--positions", "0"), "x>=1"),
        (("--positions", "5", "--no-positions"), "--no-positions cannot be given with --positions"),
        (("--exploit", "0"), "x>0"),
        (("--checkpoints", "0"), "expected all, best, latest or a positive number, but got '0'"),
        (("--output", "league.txt"), "expected a name that ends in .png or .svg"),
        (
            ("--against", "minimax"),
            "unknown opponent 'minimax'; expected one of alpha_beta, alpha_beta_N, heuristic, mcts_N, ",
        ),
        (("--against", "alpha_beta_0"), "expected a positive number, found 0"),
    ],
)
def test_mistakes_are_told_without_a_traceback(run: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = invoke("league", run, *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert "Traceback" not in outcome.output


@needs_openspiel
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


def test_evaluations_count_right_moves(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        found = line["right_moves"]
        assert (found["positions"], found["choices"]) == (24, 12)
        assert found["share"] == found["right"] / 24
        assert sum(cell["right"] for cell in found["cells"].values()) == found["right"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["last_evaluation"]["right_moves"] == lines[-1]["right_moves"]
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    logged = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert logged["eval/right_moves"] == pytest.approx([line["right_moves"]["share"] for line in lines])
    assert logged["eval/right_moves_where_it_matters/late_easy"] == pytest.approx(
        [line["right_moves"]["cells"]["late easy"]["share_where_it_matters"] for line in lines]
    )
    assert "right moves: " in (run / "logs" / "training.log").read_text()


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_fresh_agent_exploits_the_frozen_one(run: Path, tmp_path: Path, is_interrupted: bool) -> None:
    copied = shutil.copytree(run, tmp_path / "run", symlinks=True)
    path = copied / "config.resolved.yaml"
    config = yaml.safe_load(path.read_text())
    config["eval"]["opponents"] = {"random": 1.0}  # the exploiter is evaluated against the frozen agent
    if is_interrupted:  # in the exploiter only: the run has ended before this step
        config["train"]["callbacks"].append({"type": "signal_callback:SignalCallback", "params": {"step": 300}})
    path.write_text(yaml.safe_dump(config))
    arguments = ("--games", 20, "--checkpoints", "latest", "--against", "random", "--no-positions")
    files = ("--output", tmp_path / "a.png", "--json", tmp_path / "a.json")
    outcome = invoke("league", copied, *arguments, *files, "--exploit", 60 if is_interrupted else 0.01)
    assert outcome.exit_code == (75 if is_interrupted else 0), outcome.output
    found = json.loads((tmp_path / "a.json").read_text())["exploiter"]
    assert found["wins"] + found["draws"] + found["losses"] == found["games"] == 20
    assert found["win_rate"] == found["wins"] / 20
    assert found["interval95"][0] <= found["score"] <= found["interval95"][1]
    assert found["stop_reason"] == ("signal SIGTERM" if is_interrupted else "duration")
    assert f"wins {100 * found['win_rate']:.1f} %" in outcome.stdout
    (exploiter,) = (copied / "exploiters").iterdir()
    assert found["run"] == str(exploiter)
    frozen = CheckpointStore(copied / "checkpoints").resolve().path
    assert found["against"] == str(frozen)
    config = yaml.safe_load((exploiter / "config.resolved.yaml").read_text())
    assert config["train"]["opponent_sampler"]["params"]["path"] == str(frozen)
    assert config["train"]["opponent_sampler"]["params"]["deterministic"] is True
    assert (config["train"]["total_steps"], config["seed"], config["eval"]["opponents"]) == (None, 20_001, {})
    assert config["agent"] == yaml.safe_load((copied / "config.resolved.yaml").read_text())["agent"]
    games = json.loads((exploiter / "metrics.json").read_text())["ratings"]
    assert set(games) == {"agent", frozen.name}


def test_a_person_plays_through_a_pipe(run: Path) -> None:
    outcome = invoke("enjoy", run, "--human", "--seat", "first", "--seed", 0, keys="1hu234q")
    assert outcome.exit_code == 0, outcome.output
    assert "hint: how likely the agent would play it, and the result with perfect play" in outcome.stdout
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
