"""Episodes that an agent plays, as in the evaluations of its training."""

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
