"""The loop of every evaluation: a generator of finished episodes. Statistics, files and pictures stay outside of it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, is_vecenv_wrapped, unwrap_vec_normalize

from sb3_ext.evaluation.isolation import Isolation

logger = logging.getLogger(__name__)

STEPS_UNTIL_WARNING = 50_000
"""Steps in each environment, without an episode that counts, after which a warning suggests a limit."""


@dataclass(frozen=True)
class Episode:
    """
    One finished episode.

    :param index: its place in the order of finishing, from 0
    :param episode_return: undiscounted sum of the environment's own rewards
    :param length: steps
    :param success: the environment's ``is_success``; ``None`` where it reports none
    """

    index: int
    episode_return: float
    length: int
    success: bool | None


def play_episodes(
    model: Any, env: VecEnv, episodes: int, *, deterministic: bool = True, seed: int | None = None
) -> Iterator[Episode]:
    """
    Play exactly so many episodes, in all sub-environments side by side, and yield each when it ends.

    Every sub-environment plays a share fixed beforehand, as in SB3's ``evaluate_policy``: taking whichever episodes
    end first would prefer short ones. Returns and lengths are ``Monitor``'s where the environments have one, so that
    wrappers around it that scale rewards or end episodes early do not show. Action masks (MaskablePPO) and recurrent
    states (RecurrentPPO) are passed on. Nothing of it reaches a training that goes on between two episodes: random
    states and the policy's mode are put back. With a seed the episodes are the same each time, given the same number
    of sub-environments.

    :param model: an SB3 algorithm or policy, or anything with a ``predict`` method
    :param env: environments of the evaluation's own; they are reset. A ``VecNormalize`` among them has
        ``training=False``
    :param episodes: how many; positive
    :param deterministic: take the most likely action instead of sampling
    :param seed: for the environments, the policy's sampling and the global random generators; ``None`` for fresh
        random numbers
    :return: a generator; closing it early is fine
    :raises ValueError: if ``episodes`` is not positive
    """
    if episodes < 1:
        raise ValueError(f"episodes must be positive, but got {episodes}")
    return _isolate(model, env, seed, _play(model, env, episodes, deterministic, seed))


def _isolate(model: Any, env: VecEnv, seed: int | None, play: Iterator[Episode]) -> Iterator[Episode]:
    isolation = Isolation(model, seed=seed, num_envs=env.num_envs)
    while True:
        with isolation:
            episode = next(play, None)
        if episode is None:
            return
        yield episode


def _play(model: Any, env: VecEnv, episodes: int, deterministic: bool, seed: int | None) -> Iterator[Episode]:
    shares = np.array([(episodes + place) // env.num_envs for place in range(env.num_envs)])
    is_monitored = is_vecenv_wrapped(env, VecMonitor) or env.env_is_wrapped(Monitor)[0]
    normalizer = unwrap_vec_normalize(env)
    needs_masks = _takes_masks(model, env)
    if seed is not None:
        env.seed(seed)
    observations = env.reset()
    state = None
    starts = np.ones(env.num_envs, dtype=bool)
    returns = np.zeros(env.num_envs)
    lengths = np.zeros(env.num_envs, dtype=int)
    finished = steps = last_finished = 0
    while finished < episodes:
        masks = {"action_masks": get_action_masks(env)} if needs_masks else {}
        actions, state = model.predict(observations, state, starts, deterministic, **masks)
        observations, rewards, starts, infos = env.step(actions)
        returns += rewards if normalizer is None else normalizer.get_original_reward()
        lengths += 1
        steps += 1
        if steps - last_finished == STEPS_UNTIL_WARNING:
            _warn_of_endless_episodes()
        for place in np.flatnonzero(starts):
            # An Atari wrapper says "done" at every lost life; only Monitor knows the real end.
            if is_monitored and "episode" not in infos[place]:
                continue
            if shares[place] > 0:
                shares[place] -= 1
                yield _read_episode(finished, infos[place], returns[place], lengths[place])
                finished += 1
                last_finished = steps
            returns[place] = lengths[place] = 0


def _takes_masks(model: Any, env: VecEnv) -> bool:
    return "action_masks" in inspect.signature(model.predict).parameters and is_masking_supported(env)


def _read_episode(index: int, info: dict[str, Any], summed_return: float, counted_length: int) -> Episode:
    monitored = info.get("episode", {"r": summed_return, "l": counted_length})
    success = info.get("is_success")
    return Episode(
        index=index,
        episode_return=float(monitored["r"]),
        length=int(monitored["l"]),
        success=None if success is None else bool(success),
    )


def _warn_of_endless_episodes() -> None:
    logger.warning(
        "no episode has ended within %d steps of each environment; if this environment never ends, "
        "set env.max_steps to truncate its episodes",
        STEPS_UNTIL_WARNING,
    )
