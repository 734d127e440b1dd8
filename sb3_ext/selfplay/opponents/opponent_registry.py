"""The registry of opponents: from the names in a configuration to opponents."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from sb3_ext.arguments import find_argument_problems, read_parameters
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.extensions import Registry
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.stateful import describe_outdated_methods

HEURISTICS = {
    "random": "sb3_ext.selfplay.opponents.heuristics:RandomOpponent",
    "heuristic": "sb3_ext.selfplay.opponents.heuristics:HeuristicOpponent",
    "smart_heuristic": "sb3_ext.selfplay.opponents.heuristics:SmartHeuristicOpponent",
    "alpha_beta": "sb3_ext.selfplay.opponents.heuristics:AlphaBetaOpponent",
    "perfect": "sb3_ext.selfplay.opponents.perfect:PerfectOpponent",
}
"""Built-in opponents, by name."""

OPPONENTS = Registry("opponent", HEURISTICS, "sb3_ext.opponents")
"""All opponents except checkpoints and pools."""

_MEMBERS = ("name", "act", "state_dict", "load_state_dict")


def make_opponent(
    name: str, params: Mapping[str, Any] | None = None, *, seed: int | np.random.SeedSequence | None = None
) -> Opponent:
    """
    :param name: a registered name such as ``random``, or ``module:Name``: a class with the methods of
        :class:`~sb3_ext.selfplay.Opponent`, or a function ``(observations, legal) -> actions``
    :param params: keyword arguments of the class, such as ``depth``; empty for a function
    :param seed: seed, for classes that accept one
    :raises ConfigError: if the opponent is unknown or its parameters are invalid
    """
    params = dict(params or {})
    try:
        found = OPPONENTS.load(name)
    except LookupError as error:
        message = str(error)
        raise ConfigError(f"opponent '{name}': {message}" if ":" in name else message) from error
    if inspect.isclass(found):
        return _make_from_class(name, found, params, seed)
    if not callable(found):
        raise ConfigError(
            f"opponent '{name}': expected a class or a function (observations, legal) -> actions, not {found!r}"
        )
    if params:
        raise ConfigError(f"opponent '{name}': a function takes no parameters, but got {', '.join(sorted(params))}")
    return FunctionOpponent(found, name=name)


class FindOpponent(Protocol):
    """Makes an opponent from its name, as :func:`make_opponent` does."""

    def __call__(self, name: str, *, seed: np.random.SeedSequence) -> Opponent: ...


def make_opponents(
    shares: Mapping[str, float], seeds: Sequence[np.random.SeedSequence], find: FindOpponent = make_opponent
) -> list[tuple[Opponent, float]]:
    """
    :param shares: relative frequency of each opponent, by name
    :param seeds: a seed for each opponent
    :param find: makes an opponent from its name
    :return: opponents with their shares
    :raises ConfigError: if an opponent is unknown
    """
    return [(find(name, seed=seed), share) for (name, share), seed in zip(shares.items(), seeds, strict=True)]


def _make_from_class(
    name: str, opponent_class: type, params: dict[str, Any], seed: int | np.random.SeedSequence | None
) -> Opponent:
    problems = find_argument_problems(opponent_class, params, owned={"seed": "it follows from the top-level seed"})
    if problems:
        raise ConfigError(f"opponent '{name}': {problem.key[0]}: {problem.message}" for problem in problems)
    if "seed" in read_parameters(opponent_class):
        params["seed"] = seed
    try:
        opponent = opponent_class(**params)
    except ValueError as error:
        raise ConfigError(f"opponent '{name}': {error}") from error
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(f"opponent '{name}' cannot be made: {describe_error(error)}") from error
    outdated = describe_outdated_methods(opponent_class, "get_state", "set_state")
    if outdated is not None:
        raise ConfigError(f"opponent '{name}': {outdated}")
    if not isinstance(opponent, Opponent):
        missing = ", ".join(name for name in _MEMBERS if not hasattr(opponent, name))
        raise ConfigError(f"opponent '{name}': the class lacks {missing}; see sb3_ext.selfplay.Opponent")
    return opponent
