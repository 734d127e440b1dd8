"""Measure on a temporary copy how long a step of an environment takes."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state
from sb3_ext.vec.snapshots.exactness import choose_action

_MAX_STEPS = 400
_STEPS_PER_SAMPLE = 10


def measure_step_seconds(
    env_fn: Callable[[], gymnasium.Env[Any, Any]], budget_seconds: float = 0.2, interruption: Interruption = NEVER
) -> float:
    """
    Step one environment with random actions and time it.

    The median over samples of ten steps, with resets: a busy machine or a rare long step has little effect. The global
    random number generators are restored at the end.

    :param env_fn: makes the environment
    :param budget_seconds: longest time to measure, without making the environment; at least one sample is taken
    :param interruption: checked before each step
    :return: seconds per step
    :raises StopRequested: if ``interruption`` says so
    """
    random_state = get_global_random_state()
    env = env_fn()
    try:
        actions = copy.deepcopy(env.action_space)
        actions.seed(0)
        env.reset(seed=0)
        samples: list[float] = []
        began_at = time.perf_counter()
        while len(samples) < _MAX_STEPS // _STEPS_PER_SAMPLE:
            samples.append(_time_steps(env, actions, began_at + budget_seconds, interruption))
            if time.perf_counter() - began_at > budget_seconds:
                break
        return statistics.median(samples)
    finally:
        set_global_random_state(random_state)
        env.close()


def _time_steps(
    env: gymnasium.Env[Any, Any], actions: gymnasium.Space[Any], until: float, interruption: Interruption
) -> float:
    """:return: seconds per step, over ten steps, or fewer if time is up"""
    began_at = time.perf_counter()
    steps = 0
    while steps < _STEPS_PER_SAMPLE and (steps == 0 or time.perf_counter() < until):
        interruption.check()
        _, _, is_terminated, is_truncated, _ = env.step(choose_action(env, actions))
        if is_terminated or is_truncated:
            env.reset()
        steps += 1
    return (time.perf_counter() - began_at) / steps
