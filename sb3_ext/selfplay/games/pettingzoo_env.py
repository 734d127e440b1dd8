"""Make, check and copy PettingZoo environments. Importing this module does not import PettingZoo."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from sb3_ext.arguments import import_module
from sb3_ext.errors import ConfigError, MissingExtraError, Sb3ExtError, describe_error
from sb3_ext.problems import suggest_name
from sb3_ext.vec.snapshots.layer_snapshots import freeze, thaw

_OWN_PREFIX = "pettingzoo."
# Turn-based two-player games of PettingZoo that are cooperative although the rewards of a lost game sum to zero.
_COOPERATIVE = ("hanabi",)


def make_env(game_id: str, params: Mapping[str, Any]) -> Any:
    """
    :param game_id: a module with a function ``env``, such as ``pettingzoo.classic.tictactoe_v3``
    :param params: keyword arguments of that function
    :return: the AEC environment, reset once
    :raises ConfigError: if the game is unknown, or not a turn-based two-player game with Discrete actions
    :raises MissingExtraError: if PettingZoo is not installed
    """
    try:
        pettingzoo = import_module("pettingzoo")
    except LookupError as error:
        raise MissingExtraError(f"the game '{game_id}'", "pettingzoo") from error
    try:
        if game_id.startswith(_OWN_PREFIX):
            env = _make_registered(pettingzoo, game_id, params)
        else:
            env = _load_module(game_id).env(**params)
        env.reset(seed=0)
        _check_env(game_id, env)
    except Sb3ExtError:
        raise
    except ImportError as error:
        raise ConfigError(_describe_missing_package(game_id, error)) from error
    except (TypeError, ValueError) as error:
        message = describe_error(error).removeprefix(f"{type(error).__name__}: ")
        raise ConfigError(f"game.params: '{game_id}' does not take these parameters: {message}") from error
    except Exception as error:
        raise ConfigError(f"game.id: '{game_id}' cannot be made: {describe_error(error)}") from error
    return env


def _describe_missing_package(game_id: str, error: ImportError) -> str:
    """Add the pip command to the error of a PettingZoo game that does not name one."""
    text = describe_error(error)
    advice = ""
    if game_id.startswith(_OWN_PREFIX) and "pip install" not in text:
        advice = f"; pip install 'pettingzoo[{game_id.split('.')[1]}]'"
    return f"game.id: '{game_id}' needs a package that is not installed: {text}{advice}"


def freeze_env(env: Any) -> bytes:
    """
    Serialise the state of an environment.

    :param env: an AEC environment, possibly in the middle of a game
    :return: a pickle for :func:`thaw_env`; unpickling it may run code
    :raises SnapshotError: if the state cannot be pickled
    """
    return freeze(list_layers(env), past_ez_pickle=True)


def thaw_env(env: Any, state: bytes) -> None:
    """
    Restore the state of an environment.

    :param env: an environment of the same kind
    :param state: from :func:`freeze_env`
    """
    thaw(list_layers(env), state)


def copy_env(env: Any, state: bytes) -> Any:
    """
    Copy an environment without ``copy.deepcopy``, which starts a new game in classes that inherit from ``EzPickle``.
    Spaces are shared with the original.

    :param env: the environment with its wrappers
    :param state: its state from :func:`freeze_env`
    :return: an independent copy
    """
    layers = list_layers(env)
    copies = [object.__new__(type(layer)) for layer in layers]
    for copied, layer in zip(copies, layers, strict=True):
        vars(copied).update(vars(layer))
    thaw(copies, state)
    return copies[0]


def list_layers(env: Any) -> list[Any]:
    """
    :param env: an AEC environment
    :return: its wrappers, outermost first, and the environment itself
    """
    layers = [env]
    while layers[-1] is not env.unwrapped:
        layers.append(layers[-1].env)
    return layers


def _make_registered(pettingzoo: Any, game_id: str, params: Mapping[str, Any]) -> Any:
    family, _, name = game_id.removeprefix(_OWN_PREFIX).rpartition(".")
    known = {spec_id.replace("-v", "_v").replace("/", "."): spec_id for spec_id in pettingzoo.aec_registry}
    if f"{family}.{name}" not in known:
        near = suggest_name(game_id, [_OWN_PREFIX + known_name for known_name in known])
        raise ConfigError(f"game.id: PettingZoo has no game '{game_id}' in which players move in turn; {near}")
    spec = pettingzoo.spec("aec", known[f"{family}.{name}"])
    importlib.import_module(spec.entry_point.partition(":")[0])  # PettingZoo would not say which package is missing
    return pettingzoo.make("aec", spec, **params)


def _load_module(game_id: str) -> Any:
    try:
        module = import_module(game_id)
    except LookupError as error:
        raise ConfigError(f"game.id: {error}") from error
    if not callable(getattr(module, "env", None)):
        raise ConfigError(f"game.id: expected a PettingZoo game, but the module '{game_id}' has no function env")
    return module


def is_over(env: Any) -> bool:
    """
    :param env: an AEC environment that was reset
    :return: True if all agents are terminated or truncated
    """
    return all(_is_out(env, player) for player in env.agents)


def remove_players_that_are_out(env: Any) -> None:
    """
    Step dead agents with ``None``, as PettingZoo requires, until a live agent is selected.

    :param env: an AEC environment; unchanged if its game is over
    """
    while not is_over(env) and _is_out(env, env.agent_selection):
        env.step(None)


def _is_out(env: Any, player: Any) -> bool:
    return bool(env.terminations.get(player, True) or env.truncations.get(player, False))


def _check_cooperative(game_id: str, name: str) -> None:
    if name.partition("_v")[0] in _COOPERATIVE:
        raise ConfigError(
            f"game.id: expected a game of two players against each other, but '{game_id}' is cooperative:"
            " both players win or lose together"
        )


def _check_env(game_id: str, env: Any) -> None:
    _check_cooperative(game_id, str(env.metadata.get("name", "")))
    players = list(env.possible_agents)
    if len(players) != 2:
        raise ConfigError(f"game.id: expected a game for two players, but '{game_id}' has {len(players)}")
    if env.metadata.get("is_parallelizable", False):
        raise ConfigError(f"game.id: expected a turn-based game, but in '{game_id}' both players move at the same time")
    first, second = (env.action_space(player) for player in players)
    if not isinstance(first, spaces.Discrete) or first != second or first.start != 0:
        raise ConfigError(
            "game.id: expected the same Discrete actions, from 0, for both players, "
            f"but '{game_id}' has {first}, {second}"
        )
    boards = [get_board_space(env.observation_space(player)) for player in players]
    if not isinstance(boards[0], spaces.Box) or boards[0] != boards[1]:
        raise ConfigError(
            "game.id: expected the same Box observations for both players, with an action_mask beside it or none, "
            f"but '{game_id}' has {', '.join(str(env.observation_space(player)) for player in players)}"
        )


def get_board_space(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """
    :param space: observation space of one player
    :return: the same without the action mask
    """
    return space["observation"] if isinstance(space, spaces.Dict) and "observation" in space.spaces else space
