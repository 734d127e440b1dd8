"""Checks of games that a schema cannot make: whether game and opponents exist, and fit the other sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sb3_ext.arguments import import_name
from sb3_ext.config.evaluation_list import list_evaluations
from sb3_ext.config.game_schema import CHECKPOINT_OPPONENT_TYPE, POOL_TYPE
from sb3_ext.config.parallel_schema import GAME_MODE
from sb3_ext.errors import ConfigError, MissingExtraError, RunError, SelfPlayError, describe_error
from sb3_ext.problems import Key, Problem
from sb3_ext.vec.backends.parallel_modes import AUTO

# Names, not functions: the configuration lies below the games and the checkpoints.
_FIND_TARGET = "sb3_ext.checkpoints.model_source:find_target"
_MAKE_GAME = "sb3_ext.selfplay.games.game_registry:make_game"
_PROBE_GAME = "sb3_ext.selfplay.games.game_probe:probe_game"
_CHECK_INSTALLED = "sb3_ext.selfplay.solvers.solver_choice:check_installed"
_MAKE_ANCHOR = "sb3_ext.selfplay.opponents.anchors:make_anchor"
_MAKE_OPPONENT = "sb3_ext.selfplay.opponents.opponent_registry:make_opponent"
PERFECT = "perfect"
"""Name of the opponent that needs a solver."""
_OF_GAMES = (
    *("start_policy", "opening_plies", "start_positions", "illegal_move"),
    *("symmetry", "lookahead", "opponent_sampler"),
)
_LOOK_AHEAD = ("ppo", "maskable_ppo")
_SAMPLER = ("train", "opponent_sampler")
_MIRROR_FRACTION = (*_SAMPLER, "params", "self_play", "mirror_fraction")


def find_game_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """
    :param data: a whole configuration as plain data; wrong types in it are left to the schema
    :return: mistakes: both or none of ``env`` and ``game``, unknown names, settings that do not fit
    """
    train, game = _mapping(data.get("train")), data.get("game")
    if game is None:
        if data.get("env") is None:
            yield Problem(("env",), "required, but missing (or game, for a two-player game)")
        for name in _OF_GAMES:
            if train.get(name) not in (None, False):
                yield Problem(("train", name), "is for games, but there is no section game")
        for key in (*_find_exam_keys(data), *(key for key, _ in _list_eval_opponents(data))):
            yield Problem(key, "is for games, but there is no section game")
        return
    if data.get("env") is not None:
        yield Problem(("game",), "cannot be given with env; leave out one of them")
    if _mapping(data.get("parallel")).get("mode") not in (None, AUTO, GAME_MODE):
        yield Problem(("parallel", "mode"), f"games are always stepped in mode {GAME_MODE}; leave it out")
    for key, section in list_evaluations(data):
        for name, value in _mapping(section.get("env")).items():
            if value:
                yield Problem((*key, "env", name), "is for environments, but this is a game")
    for key, opponents in _list_eval_opponents(data):
        yield from _find_eval_opponent_problems(opponents, key)
    yield from _find_id_problems(_mapping(game), train, needs_solver=list(_find_solver_keys(data)))
    agent_id = _mapping(data.get("agent")).get("id")
    if train.get("lookahead") is not None and agent_id not in _LOOK_AHEAD:
        yield Problem(("train", "lookahead"), f"is for {' and '.join(_LOOK_AHEAD)}, but agent.id is {agent_id}")
    if train.get("opponent_sampler") is None:
        yield Problem(_SAMPLER, "required for a game, but missing, such as {type: random}")
    else:
        yield from _find_sampler_problems(_mapping(train["opponent_sampler"]), data.get("seed"))


def _find_id_problems(
    game: Mapping[str, Any], train: Mapping[str, Any], needs_solver: Sequence[Key]
) -> Iterator[Problem]:
    game_id, params = game.get("id"), game.get("params")
    if not isinstance(game_id, str):
        return
    try:
        made = import_name(_MAKE_GAME)(game_id, 1, _mapping(params), seed=0)
    except ConfigError as error:
        for line in error.problems:
            place, _, message = line.partition(": ")
            yield Problem(tuple(place.split(".")), message)
    except (MissingExtraError, SelfPlayError) as error:
        yield Problem(("game", "id"), str(error))
    else:
        yield from _find_rule_problems(game_id, made, train)
        for key in needs_solver:
            try:
                import_name(_CHECK_INSTALLED)(made)
            except MissingExtraError as error:
                yield Problem(key, str(error))


def _find_solver_keys(data: Mapping[str, Any]) -> Iterator[Key]:
    """Yield the keys with values that need a solver of the game."""
    yield from _find_exam_keys(data)
    sampler = _mapping(_mapping(data.get("train")).get("opponent_sampler"))
    if sampler.get("type") == PERFECT:
        yield (*_SAMPLER, "type")
    for key, opponents in _list_eval_opponents(data):
        if PERFECT in opponents:
            yield (*key, PERFECT)
    if PERFECT in _mapping(_mapping(sampler.get("params")).get("heuristic_distribution")):
        yield (*_SAMPLER, "params", "heuristic_distribution", PERFECT)


def _find_exam_keys(data: Mapping[str, Any]) -> Iterator[Key]:
    return ((*key, "positions") for key, section in list_evaluations(data) if section.get("positions") is not None)


def _list_eval_opponents(data: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    for key, section in list_evaluations(data):
        opponents = _mapping(section.get("opponents"))
        if opponents:
            yield (*key, "opponents"), opponents


def _find_eval_opponent_problems(opponents: Mapping[str, Any], key: Key) -> Iterator[Problem]:
    if not any(opponents.values()):
        yield Problem(key, "the shares are all 0")
    for name in opponents:
        yield from _find_opponent_problems(str(name), (*key, name))


def _find_opponent_problems(name: str, key: Key) -> Iterator[Problem]:
    """Yield problems with the name of an opponent, or of a run or checkpoint of one."""
    try:
        import_name(_MAKE_ANCHOR)(name)
    except MissingExtraError as error:
        yield Problem(key, str(error))
    except ConfigError as error:
        if _is_found(name):
            return
        lines = [f"no such run or checkpoint: '{name}'"] if "/" in name else error.problems
        for line in lines:
            yield Problem(key, line)


def _find_rule_problems(game_id: str, game: Any, train: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        traits = import_name(_PROBE_GAME)(game)
    except SelfPlayError as error:
        yield Problem(("game", "id"), str(error))
        return
    except Exception as error:  # a user's game may raise anything
        yield Problem(("game", "id"), f"'{game_id}' failed in a random game: {describe_error(error)}")
        return
    if train.get("lookahead") is not None and not traits.is_zero_sum_at_every_move:
        yield Problem(("train", "lookahead"), f"rewards of {game_id} do not sum to zero at a move; leave it out")
    if _has_mirrors(train) and not (traits.is_alternating and traits.is_zero_sum_at_every_move):
        found = "move twice in a row" if not traits.is_alternating else "get rewards that do not sum to zero at a move"
        yield Problem(_MIRROR_FRACTION, f"expected 0, since players of {game_id} {found}")


def _has_mirrors(train: Mapping[str, Any]) -> bool:
    params = _mapping(_mapping(train.get("opponent_sampler")).get("params"))
    return bool(_mapping(params.get("self_play")).get("mirror_fraction"))


def _find_sampler_problems(sampler: Mapping[str, Any], seed: Any) -> Iterator[Problem]:
    kind, params = sampler.get("type"), _mapping(sampler.get("params"))
    key = (*_SAMPLER, "params")
    if kind == POOL_TYPE:
        if seed is None:
            yield Problem(
                ("seed",),
                "required for a pool of opponents, but missing: a resumed pool must draw the same opponents",
            )
        for name in _mapping(params.get("heuristic_distribution")):
            yield from _find_opponent_problems(str(name), (*key, "heuristic_distribution", name))
    elif kind == CHECKPOINT_OPPONENT_TYPE:
        path = params.get("path")
        if isinstance(path, str) and not _is_found(path):
            yield Problem((*key, "path"), f"no such checkpoint: '{path}'")
    elif isinstance(kind, str):
        own = {name: value for name, value in params.items() if name != "seed"}
        yield from _find_name_problems(kind, own, (*_SAMPLER, "type"))


def _is_found(target: str) -> bool:
    try:
        import_name(_FIND_TARGET)(target)
    except RunError:
        return False
    return True


def _find_name_problems(name: Any, params: Mapping[str, Any], key: tuple[str, ...]) -> Iterator[Problem]:
    try:
        import_name(_MAKE_OPPONENT)(str(name), params)
    except ConfigError as error:
        for line in error.problems:
            yield Problem(key, line)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
