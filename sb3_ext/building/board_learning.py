"""Give an algorithm the buffer that learns from both seats of a board, and from mirror images."""

from __future__ import annotations

from typing import Any

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.building.game_environments import count_mirrors, make_configured_game
from sb3_ext.config.schema import RunConfig
from sb3_ext.errors import ConfigError


def make_board_arguments(config: RunConfig) -> dict[str, Any]:
    """
    :param config: the whole configuration
    :return: the algorithm's arguments for a board buffer; empty without mirror boards and symmetry
    :raises ConfigError: if there is no such buffer for the algorithm, or the game has no symmetry
    """
    num_mirrors = count_mirrors(config)
    if num_mirrors == 0 and not config.train.symmetry:
        return {}
    from sb3_ext.algorithms import board_buffers

    algorithm = get_algorithm(config.agent.id)
    kind = "replay_buffer" if algorithm.is_off_policy else "rollout_buffer"
    key = "train.symmetry" if num_mirrors == 0 else "train.opponent_sampler.params.self_play.mirror_fraction"
    if algorithm.board_buffer is None:
        able = ", ".join(name for name, other in ALGORITHMS.items() if other.board_buffer is not None)
        raise ConfigError(f"{key}: {algorithm.id} has no buffer for this; use agent.id: {able}")
    given = [name for name in (f"{kind}_class", f"{kind}_kwargs") if config.agent.params.get(name) is not None]
    if given:
        raise ConfigError(f"agent.params.{given[0]}: cannot be set together with {key}, which sets it")
    arguments: dict[str, Any] = {"num_mirrors": num_mirrors, "reflection": _get_reflection(config)}
    if algorithm.is_off_policy:
        arguments["gamma"] = fill_parameters(algorithm, config.agent.params, with_inherited=True)["gamma"]
    return {f"{kind}_class": getattr(board_buffers, algorithm.board_buffer), f"{kind}_kwargs": arguments}


def _get_reflection(config: RunConfig) -> list[list[int]] | None:
    if not config.train.symmetry:
        return None
    game = make_configured_game(config, 1)
    find = getattr(game, "find_reflection", None)
    if find is None:
        raise ConfigError(f"train.symmetry: {game.id} has no method find_reflection()")
    return [list(places) for places in find()]
