"""An agent of a two-player game, against a person or an opponent."""

from __future__ import annotations

import numpy as np

from sb3_ext.agents.agent import AgentSource
from sb3_ext.building.game_environments import EVAL_OPENING_PLIES, make_configured_game
from sb3_ext.building.training_environments import choose_eval_seed
from sb3_ext.errors import ConfigError
from sb3_ext.evaluation.league_players import find_opponent
from sb3_ext.selfplay.frozen_opponent import load_opponent
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.matches.match_play import MatchResult, play_match
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent


def seat_agent(
    source: AgentSource, num_boards: int, *, deterministic: bool = True, seed: int | None = None, trust: bool = False
) -> tuple[Game, PolicyOpponent]:
    """
    Seat an agent at a game of two.

    :param source: the agent's
    :param num_boards: games that are played side by side
    :param deterministic: take the most likely action
    :param seed: of the agent
    :param trust: run whatever code the agent's files bring
    :return: the game, and the agent
    :raises ConfigError: if the agent plays no game of two
    """
    config = source.config
    if config.game is None:
        raise ConfigError(f"expected an agent of a two-player game, found one of {config.task_id}")
    game = make_configured_game(config, num_boards)
    return game, load_opponent(
        source.model, game, algorithm=source.algorithm, trust=trust, deterministic=deterministic, seed=seed
    )


def play_against(
    source: AgentSource,
    opponent: str,
    games: int,
    *,
    deterministic: bool | None = None,
    seed: int | None = None,
    trust: bool = False,
) -> MatchResult:
    """
    Play against somebody: every opening twice, once in either seat.

    :param source: the agent's, of a game
    :param opponent: what :func:`~sb3_ext.evaluation.league_players.find_opponent` knows; a zip is of the same algorithm
    :param games: how many, rounded up to an even number
    :param deterministic: take the most likely action, the opponent too if it is an agent; as in training's evaluations
        when left out
    :param seed: of openings and players; training's evaluations' when left out
    :param trust: run whatever code the agent's and the opponent's files bring
    :return: what came of it, from the agent's side
    :raises ConfigError: if there is no such opponent, or the agent plays no game of two
    :raises SelfPlayError: if the opponent was trained for another game
    """
    config = source.config
    openings, *seeds = np.random.SeedSequence(choose_eval_seed(config) if seed is None else seed).spawn(3)
    is_deterministic = config.eval.deterministic if deterministic is None else deterministic
    own_seed, other_seed = (int(part.generate_state(1)[0]) for part in seeds)
    game, agent = seat_agent(source, (games + 1) // 2, deterministic=is_deterministic, seed=own_seed, trust=trust)
    other = find_opponent(
        opponent, game, algorithm=config.agent.id, deterministic=is_deterministic, seed=other_seed, trust=trust
    )
    generator = np.random.default_rng(openings)
    return play_match(game, agent, other, generator=generator, opening_plies=EVAL_OPENING_PLIES)
