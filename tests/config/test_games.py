"""Configurations of games: required keys, and the message for each mistake."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sb3_ext.cli import cli
from sb3_ext.config import dump_config, load_config
from sb3_ext.errors import ConfigError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import MoveResults

GAME: dict[str, Any] = {
    "seed": 1,
    "game": {"id": "connect4"},
    "agent": {"id": "maskable_ppo"},
    "train": {"opponent_sampler": {"type": "random"}},
}
POOL = {"train": {"opponent_sampler": {"type": "pool"}}}


def make_pool(**params: Any) -> dict[str, Any]:
    return {"train": {"opponent_sampler": {"type": "pool", "params": params}}}


def make_games() -> ModuleType:
    """:return: a module of games that are refused, or do not support mirror boards"""

    class Ante(Connect4):
        """A player pays 1 for each move, and gets it back at the end."""

        def play(self, boards: Any, actions: Any) -> MoveResults:
            movers = self.movers[boards]
            rewards, ends = super().play(boards, actions)
            rewards[np.arange(len(boards)), movers] -= 1.0
            paid = self.rules.plies[boards]
            back = np.stack([(paid + 1) // 2, paid // 2], axis=1)
            return MoveResults((rewards + ends[:, None] * back).astype(np.float32), ends)

    class BothWin(Connect4):
        id = "both_win"

        def play(self, boards: Any, actions: Any) -> MoveResults:
            ends = super().play(boards, actions).ends
            return MoveResults(np.repeat(ends[:, None], 2, axis=1).astype(np.float32), ends)

    class Broken(Connect4):
        def play(self, boards: Any, actions: Any) -> MoveResults:
            raise IndexError("no cell")

    class TwoMoves(Connect4):
        @property
        def movers(self) -> Any:
            return (self.rules.plies // 2 % 2).astype(np.int8)

    module: Any = ModuleType("my_games")
    module.Ante, module.BothWin, module.Broken, module.TwoMoves = Ante, BothWin, Broken, TwoMoves
    found: ModuleType = module
    return found


def test_games_without_mirror_boards_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_games", make_games())
    for name in ("Ante", "TwoMoves"):
        load_config({**GAME, "game": {"id": f"my_games:{name}"}})


def test_opponents_and_pools_load_and_dump(tmp_path: Path) -> None:
    for more in ({}, POOL, make_pool(self_play={"save_every": 7}, heuristic_distribution={"heuristic": 2})):
        loaded = load_config({**GAME, **more})
        (tmp_path / "dumped.yaml").write_text(dump_config(loaded))
        assert load_config(tmp_path / "dumped.yaml") == loaded
    assert loaded.task_id == "connect4"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"game": None}, "env: required, but missing (or game, for a two-player game)"),
        ({"env": {"id": "CartPole-v1"}}, "game: cannot be given with env; leave out one of them"),
        ({"game": {"id": "conect4"}}, "game.id: unknown game 'conect4'; did you mean 'connect4'?"),
        (
            {"game": {"id": "connect4", "params": {"row": 6}}},
            "game.params.row: unknown parameter; did you mean 'rows'?",
        ),
        ({"game": {"id": "connect4", "params": {"rows": 0}}}, "game.params: rows must be from 1 to 60"),
        ({"game": {}}, "game.id: required, but missing"),
        ({"game": {"id": "my_games:BothWin"}}, "game.id: both_win: expected a game of two players against each other"),
        (
            {"game": {"id": "my_games:Broken"}},
            "game.id: 'my_games:Broken' failed in a random game: IndexError: no",
        ),
        (
            {"game": {"id": "my_games:TwoMoves"}, **make_pool(self_play={"mirror_fraction": 0.5})},
            "self_play.mirror_fraction: expected 0, since players of my_games:TwoMoves move twice in a row",
        ),
        (
            {"game": {"id": "my_games:Ante"}, **make_pool(self_play={"mirror_fraction": 0.5})},
            "self_play.mirror_fraction: expected 0, since players of my_games:Ante get rewards that do not sum to zero",
        ),
        ({"parallel": {"mode": "subproc"}}, "parallel.mode: games are always stepped in mode native; leave it out"),
        ({"eval": {"env": {"params": {"a": 1}}}}, "eval.env.params: is for environments, but this is a game"),
        ({"train": {}}, "train.opponent_sampler: required for a game, but missing, such as {type: random}"),
        (
            {"train": {"opponent_sampler": {"type": "randm"}}},
            "train.opponent_sampler.type: unknown opponent 'randm'; did you mean 'random'?",
        ),
        (
            {"train": {"opponent_sampler": {"type": "checkpoint", "params": {"path": "nowhere"}}}},
            "train.opponent_sampler.params.path: no such checkpoint: 'nowhere'",
        ),
        (
            {"train": {"opponent_sampler": {"type": "checkpoint"}}},
            "train.opponent_sampler.params.path: required, but missing",
        ),
        ({"seed": None, **POOL}, "seed: required for a pool of opponents, but missing"),
        (
            make_pool(self_play={"past_self_fraction": 1.5}),
            "train.opponent_sampler.params.self_play.past_self_fraction: expected a number from 0 to 1, found 1.5",
        ),
        (
            make_pool(self_play={"current_self_fraction": 0.7, "past_self_fraction": 0.7}),
            "params.self_play: current_self_fraction + past_self_fraction is 1.4, expected at most 1",
        ),
        (make_pool(self_play={"evict": "oldest"}), "params.self_play.evict: unknown key; did you mean 'eviction'?"),
        (make_pool(self_play={"sampling": "best"}), "sampling: expected one of uniform, latest, prioritized, found"),
        (
            make_pool(heuristic_distribution={"heuristics": 1.0}),
            "params.heuristic_distribution.heuristics: unknown opponent 'heuristics'; did you mean 'heuristic'?",
        ),
        (make_pool(heuristic_distribution={}), "params: an empty pool: without heuristics, self_play needs"),
        (make_pool(heuristic_distribution={"random": 0}), "params: the shares in heuristic_distribution are all 0"),
        (make_pool(heuristic_distribution={"random": -1}), "heuristic_distribution.random: expected a number >= 0"),
        (
            {"train": {**GAME["train"], "start_policy": "me"}},
            "train.start_policy: expected one of random, agent_first, opponent_first, alternate, found 'me'",
        ),
        (
            {"game": None, "env": {"id": "CartPole-v1"}, "train": {"start_policy": "random"}},
            "train.start_policy: is for games, but there is no section game",
        ),
        (
            {"game": None, "env": {"id": "CartPole-v1"}, "train": {}, "eval": {"positions": 20}},
            "eval.positions: is for games, but there is no section game",
        ),
        (
            {"game": {"id": "my_games:Ante"}, "train": {**GAME["train"], "lookahead": {}}},
            "train.lookahead: rewards of my_games:Ante do not sum to zero at a move; leave it out",
        ),
        (
            {"agent": {"id": "dqn"}, "train": {**GAME["train"], "lookahead": {}}},
            "train.lookahead: is for ppo and maskable_ppo, but agent.id is dqn",
        ),
        (
            {"train": {**GAME["train"], "lookahead": {"temperature": 0}}},
            "train.lookahead.temperature: expected a positive number, found 0",
        ),
        (
            {"game": None, "env": {"id": "CartPole-v1"}, "train": {"lookahead": {}}},
            "train.lookahead: is for games, but there is no section game",
        ),
        (
            {"train": {**GAME["train"], "start_positions": {"replay": 0.7, "lost": 0.7}}},
            "train.start_positions: random + replay + lost is 1.4, expected at most 1",
        ),
        (
            {"eval": {"opponents": {"alphabeta_4": 1.0}}},
            "eval.opponents.alphabeta_4: unknown opponent 'alphabeta_4'; did you mean 'alpha_beta_N'?",
        ),
        ({"eval": {"opponents": {"alpha_beta_0": 1.0}}}, "opponents.alpha_beta_0: opponent 'alpha_beta_0': expected a"),
        (
            {"eval": {"opponents": {"runs/nobody": 1.0}}},
            "eval.opponents.runs/nobody: no such run or checkpoint: 'runs/nobody'",
        ),
        (
            make_pool(heuristic_distribution={"runs/nobody": 1.0}),
            "params.heuristic_distribution.runs/nobody: no such run or checkpoint: 'runs/nobody'",
        ),
        ({"eval": {"opponents": {"random": 0}}}, "eval.opponents: the shares are all 0"),
        ({"eval": {"opponents": {"random": -1}}}, "eval.opponents.random: expected a number >= 0"),
        (
            {"game": None, "env": {"id": "CartPole-v1"}, "train": {}, "eval": {"opponents": {"random": 1}}},
            "eval.opponents: is for games, but there is no section game",
        ),
        ({"eval": {"positions": 0}}, "eval.positions: expected a positive integer, found 0"),
    ],
)
def test_each_mistake_has_its_message(changes: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_games", make_games())
    with pytest.raises(ConfigError) as caught:
        load_config({**copy.deepcopy(GAME), **changes})
    assert any(expected in line for line in caught.value.problems), caught.value.problems


def test_without_the_solver_the_keys_that_need_it_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sb3_ext.selfplay.solvers.solver_choice.find_spec", lambda name: None)
    needs = {"perfect": 0.5, "random": 0.5}
    for changes, key in (
        ({"eval": {"positions": 20}}, "eval.positions"),
        ({"eval": {"opponents": {"perfect": 1}}}, "eval.opponents.perfect"),
        ({"train": {"opponent_sampler": {"type": "perfect"}}}, "train.opponent_sampler.type"),
        (make_pool(heuristic_distribution=needs), "train.opponent_sampler.params.heuristic_distribution.perfect"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config({**GAME, **changes})
        [problem] = caught.value.problems
        assert problem.endswith(
            f"{key}: the exact solver of Connect4 needs an optional dependency: pip install 'sb3-ext[solver]'"
        )
        load_config({**GAME, **changes, "game": {"id": "connect4", "params": {"rows": 4}}})  # needs no such package


def test_a_pool_without_heuristics_is_accepted() -> None:
    only_self = {"start_episode": 0, "current_self_fraction": 0.4, "past_self_fraction": 0.6}
    load_config({**GAME, **make_pool(self_play=only_self, heuristic_distribution={})})


def test_the_command_line_shows_and_checks_games() -> None:
    shown = CliRunner().invoke(cli, ["config", "show", "connect4_maskable_ppo"])
    assert shown.exit_code == 0, shown.output
    assert "max_frozen_agents: 10" in shown.output
    checked = CliRunner().invoke(cli, ["config", "check", "--env", "connect4_maskable_ppo"])
    assert checked.exit_code == 0, checked.output
    assert "heuristic_distribution" in CliRunner().invoke(cli, ["config", "schema"]).output


def test_a_mock_environment_is_refused_for_a_game(tmp_path: Path) -> None:
    command = ["train", "connect4_maskable_ppo", "--mock-env", "--run-dir", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert "needs an environment, but this configuration is of the game connect4" in result.output
    assert not (tmp_path / "run").exists()
