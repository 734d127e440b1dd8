"""A functional JAX environment, whose state is a tuple, as a vector environment alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.envs.functional_jax_env import FunctionalJaxVectorEnv
from gymnasium.experimental.functional import FuncEnv
from gymnasium.vector import AutoresetMode


class DriftState(NamedTuple):
    """Where a point is, and where it started."""

    position: Any
    start: Any


class DriftFunctional(FuncEnv[Any, Any, Any, Any, Any, Any, Any]):
    """A point that drifts by a random distance in the direction of the action; the episode ends at a distance of 1."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def initial(self, rng: Any, params: Any = None) -> Any:
        start = jax.random.uniform(rng, minval=-0.1, maxval=0.1)
        return DriftState(start, start)

    def transition(self, state: Any, action: Any, rng: Any, params: Any = None) -> Any:
        distance = jax.random.uniform(rng, maxval=0.5)
        return DriftState(state.position + jnp.where(action == 1, distance, -distance), state.start)

    def observation(self, state: Any, rng: Any, params: Any = None) -> Any:
        return jnp.stack([state.position, state.start])

    def reward(self, state: Any, action: Any, next_state: Any, rng: Any, params: Any = None) -> Any:
        return jnp.float32(1)

    def terminal(self, state: Any, rng: Any, params: Any = None) -> Any:
        return jnp.abs(state.position) > 1

    def state_info(self, state: Any, params: Any = None) -> Any:
        return {"start": state.start}

    def transition_info(self, state: Any, action: Any, next_state: Any, params: Any = None) -> Any:
        return {"distance": next_state.position - state.position}


def make_drift(num_envs: int, max_episode_steps: int = 12) -> FunctionalJaxVectorEnv[Any, Any, Any]:
    """
    :param num_envs: number of environments
    :param max_episode_steps: truncate episodes after this many steps
    :return: the environments
    """
    functions = DriftFunctional()
    functions.transform(jax.jit)
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    return FunctionalJaxVectorEnv(functions, num_envs, max_episode_steps, metadata)


gymnasium.register("Drift-v0", vector_entry_point=make_drift, max_episode_steps=12)
