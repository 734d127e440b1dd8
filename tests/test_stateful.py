"""One protocol for everything that has a state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_ext.errors import ConfigError, SelfPlayError
from sb3_ext.evaluation.convergence import ConvergenceRule, PlateauRule
from sb3_ext.evaluation.stage_rule import StageRule
from sb3_ext.phases import Phases
from sb3_ext.selfplay import OpponentPool, SelfPlayVecEnv, make_game, make_opponent
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.matches.ratings import OnlineRatings
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler
from sb3_ext.stateful import Stateful, describe_outdated_methods


class Outdated:
    name = "outdated"

    def act(self, game: Any, boards: Any) -> Any:
        return np.zeros(len(boards))

    def get_state(self) -> None:
        return None

    def set_state(self, state: Any) -> None:
        pass


class OutdatedGame(Connect4):
    def get_snapshot(self) -> Any:
        return None

    def set_snapshot(self, snapshot: Any) -> None:
        pass


def test_all_that_has_a_state_is_stateful(tmp_path: Any) -> None:
    game = make_game("connect4", num_boards=1)
    pool = OpponentPool(tmp_path, game, seed=1)
    opponents = [make_opponent(name) for name in ("random", "heuristic", "alpha_beta")]
    rules = [ConvergenceRule(1.0), PlateauRule(), StageRule([]), Phases(), OnlineRatings()]
    for item in [game, pool, SelfPlayVecEnv(game, pool), *opponents, MixedSampler([(opponents[0], 1.0)]), *rules]:
        assert isinstance(item, Stateful)
        state = item.state_dict()
        assert isinstance(state, dict)
        item.load_state_dict(state)


def test_only_the_most_derived_methods_count() -> None:
    class Renamed(Outdated):
        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    message = "rename get_state() and set_state() of Outdated to state_dict() and load_state_dict(state)"
    assert describe_outdated_methods(Outdated, "get_state", "set_state") == message
    assert describe_outdated_methods(Renamed, "get_state", "set_state") is None
    assert describe_outdated_methods(Outdated, "state", "restore") is None


def test_an_outdated_opponent_is_refused() -> None:
    with pytest.raises(SelfPlayError, match=r"rename get_state\(\) and set_state\(\) of Outdated"):
        SelfPlayVecEnv(make_game("connect4", num_boards=1), Outdated())  # type: ignore[arg-type]


def test_an_outdated_game_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"OutdatedGame': rename get_snapshot\(\) and set_snapshot\(\) of OutdatedGame"
    ):
        make_game(f"{__name__}:OutdatedGame", num_boards=1)
