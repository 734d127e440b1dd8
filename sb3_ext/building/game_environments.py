"""Make the boards of training and of evaluations, for a configuration with a game."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.config.game_schema import CheckpointOpponentConfig, OpponentConfig, PoolConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.selfplay.frozen_opponent import find_opponent, load_opponent
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.game_registry import make_game
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.opponents.opponent_registry import make_opponent, make_opponents
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler, OpponentSampler
from sb3_ext.selfplay.pool.pool import OpponentPool
from sb3_ext.selfplay.seats.board_monitor import BoardMonitor
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.selfplay.seats.start_positions import StartShares
from sb3_ext.vec.check_finite import VecCheckFinite
from sb3_ext.vec.monitor_files import continue_vec_monitor
from sb3_ext.vec.snapshots.exactness import Exactness, self_test

EVAL_OPENING_PLIES = (2, 4)
"""Random moves at the start of an evaluation's games: deterministic players would otherwise repeat one game."""


def make_configured_game(config: RunConfig, num_boards: int) -> Game:
    """
    :param config: the whole configuration, with a section ``game``
    :param num_boards: games that are played at the same time
    :return: the game
    :raises ConfigError: if it cannot be made
    """
    assert config.game is not None
    return make_game(config.game.id, num_boards, config.game.params, seed=config.seed)


def make_game_env(
    config: RunConfig, monitor_file: Path | None, opponents_directory: Path, *, resumed: bool = False
) -> VecEnv:
    """
    :param config: the whole configuration, with a section ``game``
    :param monitor_file: of the episodes; ``None`` writes none
    :param opponents_directory: of the snapshots of a pool
    :param resumed: append to the file instead of replacing it
    :return: ``parallel.num_envs`` boards
    :raises ConfigError: if game or opponents cannot be made
    """
    game = make_configured_game(config, config.parallel.num_envs)
    seat = _make_seat(config, game, _make_sampler(config, game, opponents_directory))
    checked = VecCheckFinite(seat, game.id)
    file = None if resumed or monitor_file is None else str(monitor_file)
    monitor = BoardMonitor(checked, file, info_keywords=("opponent", "seat"))
    if resumed and monitor_file is not None:
        continue_vec_monitor(monitor, monitor_file)
    return monitor


def make_game_eval_env(config: RunConfig, num_boards: int) -> VecEnv:
    """
    Make the boards of an evaluation: half of the games in each seat, from random openings.

    The opponents are fixed, since scores against a growing pool cannot be compared: those of ``eval.opponents``, else
    the heuristics of the pool, or the opponent of training.

    :param config: the whole configuration, with a section ``game``
    :param num_boards: games that are played at the same time
    :return: the boards; an episode's return is 1, 0 or -1 in a game of win and loss
    :raises ConfigError: if game or opponents cannot be made
    """
    game = make_configured_game(config, num_boards)
    algorithm = get_algorithm(config.agent.id)
    seat = SelfPlayVecEnv(
        game,
        _make_eval_sampler(config, game),
        start_policy="alternate",
        opening_plies=EVAL_OPENING_PLIES,
        masks_in_observation=algorithm.observes_masks,
        illegal_move=config.train.illegal_move or _choose_illegal_move(config),
        seed=config.seed,
    )
    return VecMonitor(VecCheckFinite(seat, game.id))


def try_game_exactness(config: RunConfig, interruption: Interruption = NEVER) -> Exactness:
    """
    :param config: the whole configuration, with a section ``game``
    :param interruption: checked before each step
    :return: whether boards of this game resume exactly
    """
    return self_test(lambda: make_trial_boards(config, config.parallel.num_envs), interruption=interruption)


def make_trial_boards(config: RunConfig, num_boards: int) -> VecEnv:
    """
    :param config: the whole configuration, with a section ``game``
    :param num_boards: games that are played at the same time
    :return: boards like those of training, with an opponent that moves at random
    """
    return SelfPlayVecEnv(
        make_configured_game(config, num_boards),
        make_opponent("random", seed=0),
        masks_in_observation=get_algorithm(config.agent.id).observes_masks,
        illegal_move="random_legal",
        seed=0,
    )


def compute_training_shares(config: RunConfig) -> Mapping[str, float]:
    """
    :param config: the whole configuration, with a section ``game``
    :return: share of the training games by opponent, among those against opponents that do not learn; they add up to 1
    """
    sampler = config.train.opponent_sampler
    assert sampler is not None
    if not isinstance(sampler, PoolConfig):
        return {sampler.type: 1.0}
    return _normalize(sampler.params.heuristic_distribution or {"random": 1.0})


def compute_eval_shares(config: RunConfig) -> Mapping[str, float]:
    """
    :param config: the whole configuration, with a section ``game``
    :return: share of an evaluation's games by opponent; they add up to 1
    """
    return _normalize(config.eval.opponents) or compute_training_shares(config)


def _normalize(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items() if share > 0}


def count_mirrors(config: RunConfig) -> int:
    """
    :param config: the whole configuration
    :return: number of boards on which the agent plays both seats
    """
    sampler = config.train.opponent_sampler
    if not isinstance(sampler, PoolConfig):
        return 0
    return round(sampler.params.self_play.mirror_fraction * config.parallel.num_envs)


def _make_seat(config: RunConfig, game: Game, sampler: OpponentSampler) -> SelfPlayVecEnv:
    starts = config.train.start_positions
    return SelfPlayVecEnv(
        game,
        sampler,
        start_policy=config.train.start_policy or "random",
        masks_in_observation=get_algorithm(config.agent.id).observes_masks,
        illegal_move=config.train.illegal_move or _choose_illegal_move(config),
        opening_plies=(0, config.train.opening_plies or 0),
        start_shares=None if starts is None else StartShares(**starts.model_dump()),
        num_mirrors=count_mirrors(config),
        seed=config.seed,
    )


def _choose_illegal_move(config: RunConfig) -> Any:
    algorithm = get_algorithm(config.agent.id)
    return "mask" if algorithm.needs_action_masks or algorithm.observes_masks else "random_legal"


def _make_sampler(config: RunConfig, game: Game, opponents_directory: Path) -> OpponentSampler:
    section = config.train.opponent_sampler
    assert section is not None
    if not isinstance(section, PoolConfig):
        return MixedSampler([(_make_fixed_opponent(config, game, section), 1.0)])
    pool = section.params
    assert config.seed is not None
    return OpponentPool(
        opponents_directory,
        game,
        pool.heuristic_distribution,
        seed=config.seed,
        find=partial(find_opponent, game=game, deterministic=False),
        **pool.self_play.model_dump(exclude={"mirror_fraction"}),
    )


def _make_eval_sampler(config: RunConfig, game: Game) -> OpponentSampler:
    section = config.train.opponent_sampler
    assert section is not None
    shares = compute_eval_shares(config)
    if config.eval.opponents:
        find = partial(find_opponent, game=game, deterministic=config.eval.deterministic, seed=config.seed)
        return MixedSampler([(find(name), share) for name, share in shares.items()], seed=config.seed)
    if not isinstance(section, PoolConfig):
        return MixedSampler([(_make_fixed_opponent(config, game, section), 1.0)])
    seeds = np.random.SeedSequence(config.seed).spawn(len(shares))
    find = partial(find_opponent, game=game, deterministic=config.eval.deterministic)
    return MixedSampler(make_opponents(shares, seeds, find), seed=config.seed)


def _make_fixed_opponent(config: RunConfig, game: Game, section: CheckpointOpponentConfig | OpponentConfig) -> Opponent:
    if isinstance(section, CheckpointOpponentConfig):
        found = section.params
        return load_opponent(
            found.path, game, algorithm=found.algorithm, deterministic=found.deterministic, seed=config.seed
        )
    params = dict(section.params)
    seed = params.pop("seed", config.seed)
    return make_opponent(section.type, params, seed=seed)
