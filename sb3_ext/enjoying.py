"""Agents that were trained: loaded from a run, a checkpoint or a stranger's file, to be judged and shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_ext.algorithms.registry import MASKED_PREFIX
from sb3_ext.building.environments import choose_eval_seed, count_eval_envs, make_eval_env
from sb3_ext.building.games import EVAL_OPENING_PLIES, make_configured_game
from sb3_ext.checkpoints.bundle import Bundle
from sb3_ext.checkpoints.loading import load_model
from sb3_ext.checkpoints.model_source import ModelSource, find_model
from sb3_ext.checkpoints.normalization import restore_normalization
from sb3_ext.checkpoints.spaces import make_space
from sb3_ext.config import RunConfig, load_config
from sb3_ext.errors import CheckpointError, ConfigError
from sb3_ext.evaluation.episodes import Episode, play_episodes
from sb3_ext.evaluation.evaluate import Evaluation, summarize
from sb3_ext.evaluation.league import find_opponent
from sb3_ext.evaluation.spaces import check_spaces
from sb3_ext.selfplay.frozen import load_opponent
from sb3_ext.selfplay.games import Game
from sb3_ext.selfplay.matches import MatchResult, play_match
from sb3_ext.selfplay.policy_opponent import PolicyOpponent


@dataclass(frozen=True)
class AgentSource:
    """
    What an agent is made from.

    :param config: of the run that trained it, or of the environment that was named
    :param model: its checkpoint, or a zip
    :param algorithm: what a zip was trained with that is no checkpoint
    """

    config: RunConfig
    model: ModelSource
    algorithm: str | None = None


@dataclass
class _Spaces:
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]


def find_agent(
    target: str | Path, *, checkpoint: str | None = None, env_id: str | None = None, algorithm: str | None = None
) -> AgentSource:
    """
    Find what a user means.

    :param target: a run directory, the name of a run below ``runs``, a checkpoint, or any zip that SB3 has saved
    :param checkpoint: of a run: ``best``, ``latest`` or a step; the best when left out, the latest if none has a score
    :param env_id: what belongs to no run plays in this environment; a run's agent, in this one instead of its own
    :param algorithm: what a zip was trained with; the agent of a checkpoint has to be of it
    :return: for :func:`load_agent` and :func:`make_agent_env`
    :raises CheckpointError: if it is none of these, there is no such checkpoint, it is damaged, or not what the other
        arguments say
    """
    model = find_model(target, checkpoint)
    chosen = algorithm if model.bundle is None else _choose_algorithm(str(target), model.bundle, algorithm)
    if model.run is not None:
        overrides = [] if env_id is None else [f"env.id={env_id}"]
        return AgentSource(load_config(model.run.paths.resolved_config, overrides), model)
    if env_id is None or chosen is None:
        raise CheckpointError(f"{target}: belongs to no run; say what it plays with --env, what it is with --algo")
    config = load_config({"env": {"id": env_id}, "agent": {"id": chosen}})
    return AgentSource(config, model, chosen if model.bundle is None else None)


def make_agent_env(source: AgentSource, *, num_envs: int | None = None, render_mode: str | None = None) -> VecEnv:
    """
    Environments as in training: the same wrappers, frame stack and normalisation, which stands still.

    :param source: the agent's
    :param num_envs: as many as evaluations in training had, when left out
    :param render_mode: as in Gymnasium
    :return: the environments
    :raises ConfigError: if they cannot be made
    :raises CheckpointError: if the agent does not fit them: says how
    """
    env = make_eval_env(source.config, num_envs=num_envs, render_mode=render_mode)
    bundle = source.model.bundle
    if bundle is not None:
        described = bundle.manifest.model
        check_spaces(_Spaces(make_space(described.observation_space), make_space(described.action_space)), env)
        normalize, statistics = unwrap_vec_normalize(env), bundle.read_normalization()
        if normalize is not None and statistics is not None:
            restore_normalization(normalize, statistics)
            normalize.training = normalize.norm_reward = False
    return env


def load_agent(source: AgentSource, env: VecEnv, *, trust: bool = False) -> BaseAlgorithm:
    """
    :param source: the agent's
    :param env: where it is to play
    :param trust: run whatever code the file brings
    :return: the model
    :raises CheckpointError: if it cannot be loaded, or does not fit the environments: says how
    """
    model = load_model(
        source.model,
        env=env if source.model.bundle is None else None,
        trust=trust,
        algorithm=source.algorithm,
        device=source.config.agent.device or "auto",
    )
    check_spaces(model, env)
    return model


def evaluate_agent(
    source: AgentSource,
    episodes: int | None = None,
    *,
    deterministic: bool | None = None,
    seed: int | None = None,
    trust: bool = False,
) -> Evaluation:
    """
    Judge an agent as it was judged in training: as many episodes with the same seed are the same episodes.

    :param source: the agent's
    :param episodes: how many; as many as in training when left out
    :param deterministic: take the most likely action; as in training when left out
    :param seed: of the episodes; training's evaluations' when left out
    :param trust: run whatever code the file brings
    :return: the statistics
    :raises ValueError: if ``episodes`` is not positive
    """
    with closing(make_agent_env(source, num_envs=count_eval_envs(source.config, episodes))) as env:
        model = load_agent(source, env, trust=trust)
        return summarize(play(source, model, env, episodes, deterministic=deterministic, seed=seed))


def play(
    source: AgentSource,
    model: BaseAlgorithm,
    env: VecEnv,
    episodes: int | None = None,
    *,
    deterministic: bool | None = None,
    seed: int | None = None,
    max_steps: int | None = None,
) -> Iterator[Episode]:
    """
    Play episodes, one after the other.

    :param source: where ``model`` comes from
    :param model: from :func:`load_agent`
    :param env: from :func:`make_agent_env`
    :param episodes: as for :func:`evaluate_agent`
    :param deterministic: likewise
    :param seed: likewise
    :param max_steps: truncate episodes after so many steps; as in training when left out
    :return: the episodes, as they end
    """
    judged = source.config.eval
    return play_episodes(
        model,
        env,
        judged.episodes if episodes is None else episodes,
        deterministic=judged.deterministic if deterministic is None else deterministic,
        seed=choose_eval_seed(source.config) if seed is None else seed,
        max_steps=judged.max_steps if max_steps is None else max_steps,
    )


def _choose_algorithm(target: str, bundle: Bundle, algorithm: str | None) -> str | None:
    described = bundle.manifest.model.algorithm
    if described is None:
        return algorithm
    if algorithm not in (None, described.removeprefix(MASKED_PREFIX)):
        raise CheckpointError(f"{target}: its agent is a {described}, not a {algorithm}; leave out --algo")
    return described.removeprefix(MASKED_PREFIX)


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
        raise ConfigError(f"only agents of a two-player game have opponents, but this one plays {config.task_id}")
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
    :param opponent: what :func:`~sb3_ext.evaluation.league.find_opponent` knows; a zip is of the same algorithm
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
