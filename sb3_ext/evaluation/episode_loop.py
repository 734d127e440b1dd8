"""Play episodes for an evaluation, and yield each when it ends."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    VecEnv,
    VecMonitor,
    is_vecenv_wrapped,
    unwrap_vec_normalize,
    unwrap_vec_wrapper,
)

from sb3_ext.config.evaluation_schema import EvalConfig
from sb3_ext.engines.collecting.predictor import Predictor
from sb3_ext.evaluation.isolation import Isolation
from sb3_ext.evaluation.plain_env import AnyEnv, wrap_plain_env
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.sequential_vec_env import SequentialVecEnv

logger = logging.getLogger(__name__)

MAX_STEPS = EvalConfig().max_steps
"""Longer than any episode of common environments; Atari episodes have at most 27,000 steps."""

STEPS_UNTIL_WARNING = 50_000
"""Steps in each environment without a finished episode after which a warning suggests a limit."""


@dataclass(frozen=True)
class Episode:
    """
    A finished or truncated episode.

    :param index: number of episodes that ended before it
    :param episode_return: undiscounted sum of the environment's rewards, before wrappers scale them
    :param length: number of steps
    :param success: ``is_success`` of the environment; ``None`` if it reports none
    :param truncated: whether the evaluation truncated it after ``max_steps``; return and length are then those so far.
        ``False`` for a time limit of the environment
    :param info: the numbers that were asked for, of those that the environment returned in ``info`` at the end
    """

    index: int
    episode_return: float
    length: int
    success: bool | None
    truncated: bool = False
    info: Mapping[str, float] = field(default_factory=dict)


def play_episodes(
    model: Any,
    env: AnyEnv,
    episodes: int,
    *,
    deterministic: bool = True,
    seed: int | None = None,
    max_steps: int | None = MAX_STEPS,
    info_keys: Sequence[str] = (),
    interruption: Interruption = NEVER,
) -> Iterator[Episode]:
    """
    Play a number of episodes in all sub-environments in parallel, and yield each when it ends.

    Each sub-environment plays a fixed share of the episodes, as in SB3's ``evaluate_policy``, since taking the episodes
    that end first would favour short ones. Returns and lengths are those of ``Monitor``, if the environments have one,
    before wrappers scale rewards or end episodes early. Action masks (MaskablePPO) and recurrent states (RecurrentPPO)
    are passed to the model. Training may continue between two episodes: random states and the mode of the policy are
    restored. The same seed repeats the same episodes if the number of sub-environments is the same.

    An episode that has not ended after ``max_steps`` is truncated, and counts. Since a ``VecEnv`` resets all
    sub-environments together, the next episode of this one begins when the others have played their shares or were
    truncated, too. Sub-environments of a ``SequentialVecEnv`` that have played their shares are not stepped.

    :param model: an SB3 algorithm or policy, or an object with a ``predict`` method
    :param env: separate environments for the evaluation, or a single one; they are reset. A ``VecNormalize`` must have
        ``training=False``
    :param episodes: number of episodes; positive
    :param deterministic: take the most likely action instead of sampling
    :param seed: seed of the environments, the policy's sampling and the global random generators; ``None`` for fresh
        random numbers
    :param max_steps: truncate episodes after this many steps; ``None`` does not truncate
    :param info_keys: numbers in ``info`` at the end of an episode to collect
    :param interruption: checked before each step
    :return: a generator, which may be closed early
    :raises ValueError: if ``episodes`` or ``max_steps`` is not positive
    :raises StopRequested: by the generator, if ``interruption`` requests it
    """
    if episodes < 1:
        raise ValueError(f"episodes must be positive, but got {episodes}")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps must be positive, but got {max_steps}")
    wrapped = wrap_plain_env(env)
    shares = np.array([(episodes + place) // wrapped.num_envs for place in range(wrapped.num_envs)])
    played = _play(
        model, wrapped, shares, deterministic, seed, max_steps or sys.maxsize, tuple(info_keys), interruption
    )
    return _isolate(model, wrapped, seed, played)


def _isolate(model: Any, env: VecEnv, seed: int | None, play: Iterator[Episode]) -> Iterator[Episode]:
    isolation = Isolation(model, seed=seed, num_envs=env.num_envs)
    while True:
        with isolation:
            episode = next(play, None)
        if episode is None:
            return
        yield episode


def _play(
    model: Any,
    env: VecEnv,
    shares: NDArray[np.int_],
    deterministic: bool,
    seed: int | None,
    max_steps: int,
    info_keys: Sequence[str],
    interruption: Interruption,
) -> Iterator[Episode]:
    if seed is not None:
        env.seed(seed)
    index = 0
    while shares.any():  # more than once only if episodes were truncated
        for episode in _play_from_reset(model, env, shares, deterministic, max_steps, info_keys, interruption):
            yield replace(episode, index=index)
            index += 1


def _play_from_reset(
    model: Any,
    env: VecEnv,
    shares: NDArray[np.int_],
    deterministic: bool,
    max_steps: int,
    info_keys: Sequence[str],
    interruption: Interruption,
) -> Iterator[Episode]:
    """
    Play until each sub-environment has played its share or an episode was truncated.

    :param shares: number of episodes left for each sub-environment; reduced in place
    """
    is_monitored = is_vecenv_wrapped(env, VecMonitor) or env.env_is_wrapped(Monitor)[0]
    normalizer = unwrap_vec_normalize(env)
    needs_masks = takes_masks(model, env)
    predictor = Predictor(model)
    observations = env.reset()
    state = None
    starts = np.ones(env.num_envs, dtype=bool)
    returns = np.zeros(env.num_envs)
    lengths = np.zeros(env.num_envs, dtype=int)
    waiting = shares == 0
    _pause(env, waiting)
    steps = last_finished = 0
    while not waiting.all():
        interruption.check()
        masks = {"action_masks": get_action_masks(env)} if needs_masks else {}
        actions, state = predictor.predict(observations, state, starts, deterministic, **masks)
        observations, rewards, starts, infos = env.step(actions)
        returns += rewards if normalizer is None else normalizer.get_original_reward()
        lengths += 1
        steps += 1
        if steps - last_finished == STEPS_UNTIL_WARNING:
            _warn_of_endless_episodes()
        ended = (starts | (lengths == max_steps)).tolist()
        if True not in ended:
            continue
        for place in np.flatnonzero(ended).tolist():
            # An Atari wrapper returns done at every lost life; only Monitor reports the real end.
            has_ended = starts[place] and ("episode" in infos[place] or not is_monitored)
            if not has_ended and lengths[place] < max_steps:
                continue
            if not waiting[place]:
                sums = returns[place], lengths[place]
                if is_monitored and not has_ended:
                    sums = _read_monitor(env, place)
                yield _read_episode(infos[place], *sums, truncated=not has_ended, info_keys=info_keys)
                shares[place] -= 1
                waiting[place] = shares[place] == 0 or not has_ended
                last_finished = steps
            returns[place] = lengths[place] = 0
        _pause(env, waiting)


def _pause(env: VecEnv, waiting: NDArray[np.bool_]) -> None:
    """Save the time of steps that no episode needs, if the environments can be paused."""
    inner = env.unwrapped
    if isinstance(inner, SequentialVecEnv):
        inner.pause(np.flatnonzero(waiting).tolist())


def takes_masks(model: Any, env: VecEnv) -> bool:
    """
    :param model: an object with a ``predict`` method
    :param env: the environments
    :return: whether the model takes action masks, and the environments have them
    """
    return "action_masks" in inspect.signature(model.predict).parameters and is_masking_supported(env)


def _read_monitor(env: VecEnv, place: int) -> tuple[float, int]:
    """:return: return and length so far of an unfinished episode, before wrappers around its ``Monitor`` change them"""
    vec_monitor = unwrap_vec_wrapper(env, VecMonitor)
    if vec_monitor is not None:
        return vec_monitor.episode_returns[place], vec_monitor.episode_lengths[place]
    [rewards] = env.get_attr("rewards", [place])
    return sum(rewards), len(rewards)


def _read_episode(
    info: dict[str, Any], summed_return: float, counted_length: int, *, truncated: bool, info_keys: Sequence[str]
) -> Episode:
    counted = {"r": summed_return, "l": counted_length}
    found = counted if truncated else info.get("episode", counted)
    success = info.get("is_success")
    return Episode(
        index=0,
        episode_return=float(found["r"]),
        length=int(found["l"]),
        success=None if success is None else bool(success),
        truncated=truncated,
        info={key: float(info[key]) for key in info_keys if _is_number(info.get(key))},
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.bool_ | np.number) or (
        isinstance(value, np.ndarray) and value.size == 1 and np.issubdtype(value.dtype, np.number)
    )


def _warn_of_endless_episodes() -> None:
    logger.warning(
        "no episode has ended within %d steps of each environment; if this environment never ends, "
        "set env.max_steps to truncate its episodes",
        STEPS_UNTIL_WARNING,
    )
