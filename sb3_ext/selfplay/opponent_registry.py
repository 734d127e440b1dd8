"""Opponents by the names that they have in a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sb3_ext.arguments import find_argument_problems, import_name
from sb3_ext.errors import ConfigError
from sb3_ext.problems import suggest_name
from sb3_ext.selfplay.function_opponent import FunctionOpponent
from sb3_ext.selfplay.heuristics import (
    AlphaBetaOpponent,
    HeuristicOpponent,
    RandomOpponent,
    SmartHeuristicOpponent,
)
from sb3_ext.selfplay.opponents import Opponent

HEURISTICS: dict[str, type[RandomOpponent]] = {
    "random": RandomOpponent,
    "heuristic": HeuristicOpponent,
    "smart_heuristic": SmartHeuristicOpponent,
    "alpha_beta": AlphaBetaOpponent,
}
"""The built-in ones."""


def make_opponent(
    name: str, params: Mapping[str, Any] | None = None, *, seed: int | np.random.SeedSequence | None = None
) -> Opponent:
    """
    :param name: one of :data:`HEURISTICS`, or ``module:function`` of one's own,
        ``(observations, legal) -> actions``
    :param params: the opponent's own keyword arguments, such as ``depth``; a function has none
    :param seed: of its generator
    :raises ConfigError: if there is no such opponent, or its parameters are not as they should be
    """
    params = dict(params or {})
    if ":" in name and name not in HEURISTICS:
        return FunctionOpponent(_import_function(name, params), name=name)
    if name not in HEURISTICS:
        raise ConfigError(f"unknown opponent '{name}'; {suggest_name(name, HEURISTICS)}; or your own 'module:function'")
    problems = find_argument_problems(HEURISTICS[name], params, owned={"seed": "it follows from the top-level seed"})
    if problems:
        raise ConfigError(f"opponent '{name}': {problem.key[0]}: {problem.message}" for problem in problems)
    try:
        return HEURISTICS[name](seed=seed, **params)
    except ValueError as error:
        raise ConfigError(f"opponent '{name}': {error}") from error


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


def _import_function(name: str, params: dict[str, Any]) -> Any:
    if params:
        raise ConfigError(f"opponent '{name}': a function takes no parameters, but got {', '.join(sorted(params))}")
    try:
        function = import_name(name)
    except LookupError as error:
        raise ConfigError(f"opponent '{name}': {error}") from error
    if not callable(function):
        raise ConfigError(f"opponent '{name}': expected a function (observations, legal) -> actions, not {function!r}")
    return function
