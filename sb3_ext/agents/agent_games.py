"""Games of an agent against a person or an opponent."""

from __future__ import annotations

import numpy as np

from sb3_ext.agents.agent import AgentSource
from sb3_ext.building.game_environments import EVAL_OPENING_PLIES, make_configured_game
from sb3_ext.building.training_environments import choose_eval_seed
from sb3_ext.errors import ConfigError
from sb3_ext.selfplay.frozen_opponent import find_opponent, load_opponent
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.matches.match_play import MatchResult, play_match
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent


def seat_agent(
    source: AgentSource, num_boards: int, *, deterministic: bool = True, seed: int | None = None, trust: bool = False
) -> tuple[Game, PolicyOpponent]:
    """
    Make an agent's game and load the agent as a player.

    :param source: from :func:`~sb3_ext.agents.agent.find_agent`
    :param num_boards: number of games played in parallel
    :param deterministic: take the most likely action
    :param seed: seed of the agent's moves
    :param trust: run code that the agent's files contain
    :return: the game and the player
    :raises ConfigError: if the agent was not trained in a two-player game
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
    Play a match: every opening twice, once from each seat.

    :param source: from :func:`~sb3_ext.agents.agent.find_agent`
    :param opponent: see :func:`~sb3_ext.selfplay.frozen_opponent.find_opponent`; a zip must be of the same algorithm
    :param games: number of games, rounded up to an even number
    :param deterministic: agent and opponent take the most likely action; ``None`` for the setting of the evaluations
    :param seed: seed of openings and players; ``None`` for the seed of the training's evaluations
    :param trust: run code that the files of agent and opponent contain
    :return: the result from the agent's perspective
    :raises ConfigError: if the opponent is unknown, or the agent was not trained in a two-player game
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
