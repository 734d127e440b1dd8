"""Opponents by the names that they have in a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sb3_ext.arguments import find_argument_problems, read_parameters
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.extensions import Registry
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.opponent import Opponent

HEURISTICS = {
    "random": "sb3_ext.selfplay.opponents.heuristics:RandomOpponent",
    "heuristic": "sb3_ext.selfplay.opponents.heuristics:HeuristicOpponent",
    "smart_heuristic": "sb3_ext.selfplay.opponents.heuristics:SmartHeuristicOpponent",
    "alpha_beta": "sb3_ext.selfplay.opponents.heuristics:AlphaBetaOpponent",
}
"""The built-in ones: where their classes are."""

OPPONENTS = Registry("opponent", HEURISTICS, "sb3_ext.opponents")
"""Every opponent that a configuration can name, but for checkpoints and pools."""

_MEMBERS = ("name", "act", "get_state", "set_state")


def make_opponent(
    name: str, params: Mapping[str, Any] | None = None, *, seed: int | np.random.SeedSequence | None = None
) -> Opponent:
    """
    :param name: one that :data:`OPPONENTS` knows, such as ``random`` or ``module:Name``: a class with the methods of
        :class:`~sb3_ext.selfplay.Opponent`, or a function ``(observations, legal) -> actions``
    :param params: keyword arguments of the class, such as ``depth``; a function has none
    :param seed: of its generator, for classes that take one
    :raises ConfigError: if there is no such opponent, or its parameters are not as they should be
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


def make_opponents(
    shares: Mapping[str, float], seeds: Sequence[np.random.SeedSequence]
) -> list[tuple[Opponent, float]]:
    """
    :param shares: how often each is to be met, by names that :func:`make_opponent` knows
    :param seeds: one each
    :return: opponents and their shares
    :raises ConfigError: if there is no such opponent
    """
    return [(make_opponent(name, seed=seed), share) for (name, share), seed in zip(shares.items(), seeds, strict=True)]


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
    except Exception as error:  # a class of the user's own may raise anything
        raise ConfigError(f"opponent '{name}' cannot be made: {describe_error(error)}") from error
    if not isinstance(opponent, Opponent):
        missing = ", ".join(name for name in _MEMBERS if not hasattr(opponent, name))
        raise ConfigError(f"opponent '{name}': the class lacks {missing}; see sb3_ext.selfplay.Opponent")
    return opponent
