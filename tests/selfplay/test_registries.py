from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sb3_ext.errors import ConfigError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game_registry import make_game
from sb3_ext.selfplay.opponents.heuristics import AlphaBetaOpponent
from sb3_ext.selfplay.opponents.opponent_registry import HEURISTICS, make_opponent


def play_the_first_legal(observations: np.ndarray, legal: np.ndarray) -> np.ndarray:
    return legal.argmax(axis=1)


class SeededGame(Connect4):
    """A game of a user's own, which takes a seed."""

    def __init__(self, num_boards: int, seed: int | None, rows: int = 6) -> None:
        super().__init__(num_boards, rows)
        self.seed = seed


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have no module name that could be imported; what users write has one."""
    module = ModuleType("my_module")
    module.SeededGame, module.play_the_first_legal = SeededGame, play_the_first_legal  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_module", module)


def test_connect4_by_its_name() -> None:
    game = make_game("connect4", 3, {"rows": 5, "cols": 6})

    assert (game.num_boards, game.observation_space.shape) == (3, (2, 5, 6))


def test_a_custom_game_receives_the_seed() -> None:
    game = make_game("my_module:SeededGame", 2, {"rows": 5}, seed=7)

    assert isinstance(game, SeededGame)
    assert game.seed == 7
    assert game.observation_space.shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("conect4", {}, "game.id: unknown game 'conect4'; did you mean 'connect4'? (or a PettingZoo game"),
        ("chess", {}, "game.id: unknown game 'chess'; expected one of connect4 (or a PettingZoo game such as"),
        ("connect4", {"row": 6}, "game.params.row: unknown parameter; did you mean 'rows'?"),
        ("connect4", {"rows": "six"}, "game.params.rows: expected an integer, found 'six'"),
        ("connect4", {"rows": 0}, "game.params: rows must be from 1 to 60, but got 0"),
        ("connect4", {"num_boards": 3}, "game.params.num_boards: cannot be set here"),
        ("no_such_module:Game", {}, "game.id: cannot import module 'no_such_module'"),
        (
            "sb3_ext.selfplay.games.connect4:Connect5",
            {},
            "game.id: module 'sb3_ext.selfplay.games.connect4' has no 'Connect5'",
        ),
        ("sb3_ext.selfplay.games.game_registry:GAMES", {}, "game.id: expected a class, but"),
    ],
)
def test_games_that_there_are_not(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_game(name, 1, params)

    assert message in str(caught.value)


@pytest.mark.parametrize("name", HEURISTICS)
def test_opponents_by_their_names(name: str) -> None:
    game, boards = make_game("connect4", 5), np.arange(5)
    actions = [make_opponent(name, seed=3).act(game, boards).tolist() for _ in range(2)]

    assert actions[0] == actions[1]
    assert make_opponent(name).name.startswith(name)


def test_parameters_of_an_opponent() -> None:
    opponent = make_opponent("alpha_beta", {"depth": 2})

    assert isinstance(opponent, AlphaBetaOpponent)
    assert (opponent.depth, opponent.name) == (2, "alpha_beta_2")


def test_a_custom_function_as_opponent() -> None:
    opponent = make_opponent("my_module:play_the_first_legal")

    assert opponent.act(make_game("connect4", 2), np.arange(2)).tolist() == [0, 0]
    assert opponent.name == "my_module:play_the_first_legal"


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("smart_heuristc", {}, "unknown opponent 'smart_heuristc'; did you mean 'smart_heuristic'?"),
        ("human", {}, "unknown opponent 'human'; expected one of alpha_beta, heuristic, perfect, random, smart"),
        ("alpha_beta", {"deph": 2}, "opponent 'alpha_beta': deph: unknown parameter; did you mean 'depth'?"),
        ("alpha_beta", {"depth": 0}, "opponent 'alpha_beta': depth must be positive, but got 0"),
        ("random", {"seed": 0}, "opponent 'random': seed: cannot be set here"),
        ("numpy:no_such_function", {}, "opponent 'numpy:no_such_function': module 'numpy' has no"),
        ("numpy:pi", {}, "expected a class or a function (observations, legal) -> actions, not 3.14"),
        ("numpy:argmax", {"axis": 1}, "opponent 'numpy:argmax': a function takes no parameters, but got axis"),
    ],
)
def test_opponents_that_there_are_not(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_opponent(name, params)

    assert message in str(caught.value)
