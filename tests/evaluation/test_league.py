"""Who takes part in the league of a run."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO

from openspiel import needs_openspiel
from sb3_ext.atomic import write_json
from sb3_ext.callbacks import OpponentPoolCallback, RunCheckpointCallback
from sb3_ext.errors import CheckpointError, ConfigError, MissingExtraError
from sb3_ext.evaluation.league_players import load_agents, make_anchors
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.status import RunStatus
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.matches.match_play import play_match
from sb3_ext.selfplay.matches.round_robin import play_league
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.pool.pool import OpponentPool
from sb3_ext.selfplay.pool.snapshot_store import SnapshotStore
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

SIZE = (4, 4, 3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """Four checkpoints, none with a score, and snapshots of a pool."""
    paths = RunPaths(tmp_path_factory.mktemp("run"))
    game = Connect4(4, *SIZE)
    pool = OpponentPool(paths.opponents, game, {"random": 1.0}, seed=0, start_episode=10, save_every=20)
    env = SelfPlayVecEnv(game, pool, illegal_move="random_legal", seed=0)
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=64, n_epochs=1, policy_kwargs={"net_arch": [8]}, seed=0)
    checkpoints = RunCheckpointCallback(paths.checkpoints, interval=64, keep_last=None)
    model.learn(256, callback=[OpponentPoolCallback(), checkpoints])
    checkpoints.close()
    return paths


def make_game(num_boards: int = 1) -> Connect4:
    return Connect4(num_boards, *SIZE)


def test_all_agents_are_every_checkpoint_and_every_snapshot(paths: RunPaths) -> None:
    agents = load_agents(paths, make_game(), "all")
    names = {agent.name for agent in agents}
    assert {name for name in names if name.startswith("step_")} == {f"step_{step:09d}" for step in (64, 128, 192, 256)}
    snapshots = {path.name for path in paths.opponents.iterdir()}
    assert len(snapshots) >= 2
    assert names == snapshots | {name for name in names if name.startswith("step_")}
    steps = [agent.step or 0 for agent in agents]
    assert steps == sorted(steps, reverse=True)
    assert [agent.note for agent in agents if agent.note] == ["latest"]


@pytest.mark.parametrize(("which", "count"), [("latest", 1), (1, 1), (2, 2), (3, 3), (100, None)])
def test_some_agents_are_the_latest_and_others_spread_over_training(
    paths: RunPaths, which: str | int, count: int | None
) -> None:
    agents = load_agents(paths, make_game(), which)
    assert len(agents) == (len(load_agents(paths, make_game(), "all")) if count is None else count)
    assert agents[0].note == "latest"
    assert agents[0].step == 256


def test_other_agents_are_those_after_equal_parts_of_the_training(paths: RunPaths) -> None:
    assert [agent.step for agent in load_agents(paths, make_game(), 4)] == [256, 192, 128, 64]
    assert [agent.step for agent in load_agents(paths, make_game(), 2)] == [256, 128]


def test_agents_play_greedily(paths: RunPaths) -> None:
    for agent in load_agents(paths, make_game(), "all"):
        game = make_game(50)
        assert len(set(agent.opponent.act(game, np.arange(50)).tolist())) == 1


def test_snapshots_have_their_own_weights(paths: RunPaths) -> None:
    store = SnapshotStore(paths.opponents, make_game())
    agents = {agent.name: agent for agent in load_agents(paths, make_game(), "all")}
    for name in store.list_names():
        weights = agents[name].opponent.policy.state_dict()  # type: ignore[attr-defined]
        for key, expected in store.open(name).read_weights().items():
            assert weights[key].equal(expected)
    sums = {float(agent.opponent.policy.action_net.weight.sum()) for agent in agents.values()}  # type: ignore[attr-defined]
    assert len(sums) > 2


def test_best_needs_a_score(paths: RunPaths) -> None:
    with pytest.raises(CheckpointError, match="has a score yet; try latest"):
        load_agents(paths, make_game(), "best")


def test_a_run_without_checkpoints_has_no_league(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_agents(RunPaths(tmp_path), make_game())


@needs_openspiel
def test_the_anchors_are_random_and_stronger_ones() -> None:
    names = [anchor.name for anchor in make_anchors(make_game())]
    assert names == ["random", "heuristic", "alpha_beta_2", "alpha_beta_4", "mcts_100"]


def test_anchors_that_were_met_in_training_are_marked() -> None:
    trained_against = ["random", "smart_heuristic"]
    marked = [a.name for a in make_anchors(make_game(), trained_against=trained_against) if a.note == "trained against"]
    assert marked == ["random", "alpha_beta_4"]  # smart_heuristic looks four moves ahead


def test_without_openspiel_tree_search_is_left_out_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with caplog.at_level(logging.INFO):
        assert [anchor.name for anchor in make_anchors(make_game())][-1] == "alpha_beta_4"
    assert "sb3-ext[league]" in caplog.text
    with pytest.raises(MissingExtraError):
        make_anchors(make_game(), ["mcts_10"])


def test_chosen_opponents_stand_beside_random(paths: RunPaths) -> None:
    checkpoint = paths.checkpoints / "step_000000064"
    players = make_anchors(make_game(), ["alpha_beta_3", str(checkpoint), "random", "alpha_beta_3"])
    assert [player.name for player in players] == ["random", "alpha_beta_3", str(checkpoint)]


def test_an_opponent_is_a_run_by_its_name(paths: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(paths.root, "runs/mine")
    write_json(Path("runs/mine/status.json"), RunStatus(status="completed").to_json())
    assert [player.name for player in make_anchors(make_game(), ["mine"])] == ["random", "mine"]


@pytest.mark.parametrize("name", ["alpha_beta_0", "no_such:function", "nobody"])
def test_who_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name.partition(":")[0]):
        make_anchors(make_game(), [name])


def test_a_whole_league(paths: RunPaths) -> None:
    players = [*load_agents(paths, make_game(), 2), *make_anchors(make_game(), ["alpha_beta_2"])]
    league = play_league(make_game, players, anchor=2, games=40)
    assert [player.name for player in league.players][2:] == ["random", "alpha_beta_2"]
    assert league.ratings[3].low > 0  # two moves ahead beat none
    assert league.compute_forgetting() is not None


def test_random_players_with_different_seeds_differ() -> None:
    result = play_match(make_game(20), RandomOpponent(0), RandomOpponent(1), generator=np.random.default_rng(0))
    assert result.distinct_games > 20
