"""Evaluate an agent as in training, and play episodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.agents.agent import AgentSource, load_agent, make_agent_env
from sb3_ext.building.training_environments import choose_eval_seed, count_eval_envs
from sb3_ext.evaluation.episode_loop import Episode, play_episodes
from sb3_ext.evaluation.evaluate import Evaluation, summarize


def evaluate_agent(
    source: AgentSource,
    episodes: int | None = None,
    *,
    deterministic: bool | None = None,
    seed: int | None = None,
    trust: bool = False,
) -> Evaluation:
    """
    Evaluate an agent as in training: the same number of episodes with the same seed repeats the same episodes.

    :param source: from :func:`~sb3_ext.agents.agent.find_agent`
    :param episodes: number of episodes; ``None`` for as many as in training
    :param deterministic: take the most likely action; ``None`` for the setting of the training
    :param seed: seed of the episodes; ``None`` for the seed of the training's evaluations
    :param trust: run code that the file contains
    :return: the statistics
    :raises ValueError: if ``episodes`` is not positive
    """
    with closing(make_agent_env(source, num_envs=count_eval_envs(source.config, episodes), trust=trust)) as env:
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
    Play episodes.

    :param source: the source of ``model``
    :param model: from :func:`~sb3_ext.agents.agent.load_agent`
    :param env: from :func:`~sb3_ext.agents.agent.make_agent_env`
    :param episodes: see :func:`evaluate_agent`
    :param deterministic: see :func:`evaluate_agent`
    :param seed: see :func:`evaluate_agent`
    :param max_steps: truncate episodes after this many steps; ``None`` for the limit of the training
    :return: the episodes in the order in which they end
    """
    judged = source.config.eval
    return play_episodes(
        model,
        env,
        judged.episodes if episodes is None else episodes,
        deterministic=judged.deterministic if deterministic is None else deterministic,
        seed=choose_eval_seed(source.config) if seed is None else seed,
        max_steps=judged.max_steps if max_steps is None else max_steps,
        info_keys=judged.info,
    )
