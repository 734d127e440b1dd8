"""Use Gymnasium's functional JAX environments with NumPy arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import VectorEnv

from sb3_ext.vec.vector_envs.masked_reset import RESET_MASK, disable_autoreset


class JaxVectorEnv(VectorEnv[Any, Any, Any]):
    """
    Convert the outputs of a ``FunctionalJaxVectorEnv`` to NumPy, and reset environments by
    ``options={"reset_mask": mask}``.

    Gymnasium 1.4 itself resets in the next step, and then drops the step of all other environments.

    :param env: a ``FunctionalJaxVectorEnv``, such as ``gymnasium.make_vec("phys2d/CartPole-v1", 8)``
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self.num_envs = env.num_envs
        self.metadata = disable_autoreset(env.metadata)
        self.spec, self.render_mode = env.spec, env.render_mode
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.single_observation_space = env.single_observation_space
        self.single_action_space = env.single_action_space

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._env, name)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        :param seed: see Gymnasium
        :param options: ``reset_mask``: which environments to reset, shape ``(num_envs,)``; the rest see Gymnasium
        :return: observations of all environments, and infos
        """
        inner, functions = self._env, self._env.func_env
        if options is None or RESET_MASK not in options:
            found = inner.reset(seed=seed, options=options)
            inner.prev_done = jnp.zeros(self.num_envs, dtype=jnp.bool_)
            observations, infos = _to_numpy(found)
            return observations, infos
        mask = jnp.asarray(options[RESET_MASK])
        key, inner.rng = jax.random.split(inner.rng)
        # All of them, so that JAX compiles for one shape only.
        fresh = functions.initial(rng=jax.random.split(key, self.num_envs))
        inner.state = jax.tree.map(lambda new, old: _select(mask, new, old), fresh, inner.state)
        inner.steps = jnp.where(mask, 0, inner.steps)
        inner.prev_done = jnp.where(mask, False, inner.prev_done)
        observations = functions.observation(inner.state, jax.random.split(inner.rng, self.num_envs))
        return _to_numpy(observations), _to_numpy(functions.state_info(inner.state))

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """
        :param actions: one each
        :return: observations, rewards, terminations, truncations and infos
        """
        observations, rewards, terminated, truncated, infos = _to_numpy(self._env.step(jnp.asarray(actions)))
        return observations, rewards, terminated, truncated, infos

    def render(self) -> Any:
        """
        :return: a frame of each environment
        """
        return self._env.render()

    def close(self, **kwargs: Any) -> None:
        """
        :param kwargs: see Gymnasium
        """
        self._env.close(**kwargs)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        inner = self._env
        state = {"state": inner.state, "key": inner.rng, "steps": inner.steps, "ended": inner.prev_done}
        copied: dict[str, Any] = jax.tree.map(np.array, state)
        return copied

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :param state: of as many environments
        """
        loaded, inner = jax.tree.map(jnp.asarray, state), self._env
        inner.state, inner.rng, inner.steps = loaded["state"], loaded["key"], loaded["steps"]
        inner.prev_done = loaded["ended"]


def _select(mask: Any, new: Any, old: Any) -> Any:
    return jnp.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _to_numpy(values: Any) -> Any:
    return jax.tree.map(np.asarray, values)
