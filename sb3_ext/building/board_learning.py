"""Give an algorithm the buffer that learns from both seats of a board, and from mirror images."""

from __future__ import annotations

from typing import Any

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, choose_game_algorithm, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.building.game_environments import count_mirrors, make_configured_game
from sb3_ext.config.schema import RunConfig
from sb3_ext.errors import ConfigError

_MIRROR_FRACTION = "train.opponent_sampler.params.self_play.mirror_fraction"


def make_board_arguments(config: RunConfig) -> dict[str, Any]:
    """
    :param config: the whole configuration
    :return: the algorithm's arguments for a board buffer; empty without mirror boards, symmetry and lookahead
    :raises ConfigError: if there is no such buffer for the algorithm, or the game has no symmetry
    """
    num_mirrors, lookahead = count_mirrors(config), config.train.lookahead
    if num_mirrors == 0 and not config.train.symmetry and lookahead is None:
        return {}
    from sb3_ext.algorithms import board_buffers, lookahead_buffers

    algorithm = choose_game_algorithm(get_algorithm(config.agent.id), looks_ahead=lookahead is not None)
    kind = "replay_buffer" if algorithm.is_off_policy else "rollout_buffer"
    key = _MIRROR_FRACTION if num_mirrors else "train.symmetry" if lookahead is None else "train.lookahead"
    if algorithm.board_buffer is None:
        able = ", ".join(name for name, other in ALGORITHMS.items() if other.board_buffer is not None)
        raise ConfigError(f"{key}: {algorithm.id} has no buffer for this; use agent.id: {able}")
    given = [name for name in (f"{kind}_class", f"{kind}_kwargs") if config.agent.params.get(name) is not None]
    if given:
        raise ConfigError(f"agent.params.{given[0]}: cannot be set together with {key}, which sets it")
    arguments: dict[str, Any] = {"num_mirrors": num_mirrors, "reflection": _get_reflection(config)}
    if algorithm.is_off_policy:
        arguments["gamma"] = fill_parameters(algorithm, config.agent.params, with_inherited=True)["gamma"]
    if lookahead is not None:
        arguments["temperature"] = lookahead.temperature
    module = board_buffers if lookahead is None else lookahead_buffers
    return {f"{kind}_class": getattr(module, algorithm.board_buffer), f"{kind}_kwargs": arguments}


def _get_reflection(config: RunConfig) -> list[list[int]] | None:
    if not config.train.symmetry:
        return None
    game = make_configured_game(config, 1)
    find = getattr(game, "find_reflection", None)
    if find is None:
        raise ConfigError(f"train.symmetry: {game.id} has no method find_reflection()")
    return [list(places) for places in find()]
