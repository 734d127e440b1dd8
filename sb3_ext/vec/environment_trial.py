"""Try an environment before a training: one reset and one step."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium

from sb3_ext.vec.environment_results import find_reset_problem, find_step_problem
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state
from sb3_ext.vec.snapshots.exactness import choose_action


def find_first_problem(env: gymnasium.Env[Any, Any]) -> str | None:
    """
    Reset an environment, and step it once with a random action. Global random number generators do not change.

    The environment is tried without its wrappers first, since wrappers fail with messages about themselves.

    :param env: a new environment
    :return: the first mistake, what was expected, and what to do; ``None`` if none is found
    :raises Exception: whatever the environment raises itself
    """
    random_state = get_global_random_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # training shows them
            return _try(env.unwrapped) or (None if env.unwrapped is env else _try(env))
    finally:
        set_global_random_state(random_state)


def _try(env: gymnasium.Env[Any, Any]) -> str | None:
    try:
        result = env.reset(seed=0)
    except TypeError as error:
        if "unexpected keyword argument 'seed'" not in str(error):
            raise
        return "reset() does not take a seed; define it as reset(self, *, seed=None, options=None)"
    problem = find_reset_problem(result, env.observation_space)
    if problem is not None:
        return problem
    return find_step_problem(env.step(choose_action(env, env.action_space)), env.observation_space)
