"""The registry of games: from ``game.id`` to a game."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sb3_ext.arguments import find_argument_problems, import_name
from sb3_ext.errors import ConfigError, Sb3ExtError, describe_error
from sb3_ext.extensions import Registry
from sb3_ext.selfplay.games.game import Game
from sb3_ext.stateful import describe_outdated_methods

GAMES = Registry(
    "game",
    {"connect4": "sb3_ext.selfplay.games.connect4:Connect4"},
    "sb3_ext.games",
    alternatives="a PettingZoo game such as pettingzoo.classic.tictactoe_v3, or 'module:Name' of your own",
)
"""All games except PettingZoo's, which are found by their module names."""

_ADAPTER = "sb3_ext.selfplay.games.pettingzoo_game:PettingZooGame"


def make_game(
    game_id: str, num_boards: int, params: Mapping[str, Any] | None = None, *, seed: int | None = None
) -> Game:
    """
    :param game_id: a PettingZoo module such as ``pettingzoo.classic.tictactoe_v3``, a registered name such as
        ``connect4``, or ``module:Name`` of a class that takes ``num_boards``, the parameters, and optionally ``seed``
    :param num_boards: number of games played in parallel, at least 1
    :param params: the game's own keyword arguments
    :param seed: seed of games with chance moves
    :raises ConfigError: if the game is unknown or its parameters are invalid
    :raises MissingExtraError: if it is a PettingZoo game, and PettingZoo is not installed
    """
    if num_boards < 1:
        raise ValueError(f"num_boards must be positive, but got {num_boards}")
    factory, params = load_game_class(game_id), dict(params or {})
    owned = {
        "num_boards": "it follows from parallel.num_envs",
        "seed": "it follows from the top-level seed",
        "game_id": "it is game.id",
    }
    problems = find_argument_problems(factory, params, owned=owned)
    if problems:
        places = [".".join(map(str, ("game.params", *problem.key))) for problem in problems]
        raise ConfigError(f"{place}: {problem.message}" for place, problem in zip(places, problems, strict=True))
    if "seed" in inspect.signature(factory).parameters:
        params["seed"] = seed
    try:
        game: Game = factory(num_boards=num_boards, **params)
    except Sb3ExtError:
        raise
    except ValueError as error:
        raise ConfigError(f"game.params: {' '.join(str(error).split())}") from error
    except ImportError as error:
        raise ConfigError(
            f"game.id: '{game_id}' needs a package that is not installed: {describe_error(error)}"
        ) from error
    except Exception as error:
        raise ConfigError(f"game.id: '{game_id}' cannot be made: {describe_error(error)}") from error
    outdated = describe_outdated_methods(type(game), "get_snapshot", "set_snapshot")
    if outdated is not None:
        raise ConfigError(f"game.id: '{game_id}': {outdated}")
    return game


def load_game_class(game_id: str) -> Callable[..., Any]:
    """
    :param game_id: see :func:`make_game`
    :return: the class or function that makes the game
    :raises ConfigError: if the game is unknown
    """
    if "." in game_id and ":" not in game_id and game_id not in GAMES:
        return functools.partial(import_name(_ADAPTER), game_id=game_id)
    try:
        found = GAMES.load(game_id)
    except LookupError as error:
        raise ConfigError(f"game.id: {error}") from error
    if not callable(found):
        raise ConfigError(f"game.id: expected a class, but '{game_id}' is {found!r}")
    factory: Callable[..., Any] = found
    return factory
