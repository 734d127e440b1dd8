"""What an algorithm needs to learn from boards on which it plays both seats, and from their mirror images."""

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
    :return: arguments of the algorithm's constructor that give it a buffer for boards; none if it needs no such buffer
    :raises ConfigError: if the algorithm has no such buffer, or the game no symmetry
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
        raise ConfigError(f"{key}: {algorithm.id} cannot learn so; agent.id could be {able}")
    given = [name for name in (f"{kind}_class", f"{kind}_kwargs") if config.agent.params.get(name) is not None]
    if given:
        raise ConfigError(f"agent.params.{given[0]}: cannot be set together with {key}, which has a buffer of its own")
    arguments: dict[str, Any] = {"num_mirrors": num_mirrors, "reflection": _find_reflection(config)}
    if algorithm.is_off_policy:
        arguments["gamma"] = fill_parameters(algorithm, config.agent.params, with_inherited=True)["gamma"]
    return {f"{kind}_class": getattr(board_buffers, algorithm.board_buffer), f"{kind}_kwargs": arguments}


def _find_reflection(config: RunConfig) -> list[list[int]] | None:
    if not config.train.symmetry:
        return None
    game = make_configured_game(config, 1)
    find = getattr(game, "find_reflection", None)
    if find is None:
        raise ConfigError(f"train.symmetry: {game.id} does not say how it looks in a mirror (find_reflection)")
    return [list(places) for places in find()]
