"""
Reset some environments of a vector environment.

Gymnasium's default, ``AutoresetMode.NEXT_STEP``, resets an environment in the step after its episode has ended. SB3 has
no place for such a step: it would be a transition from the last observation of an episode to the first of the next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

AnyVectorEnv = VectorEnv[Any, Any, Any]
RESET_MASK = "reset_mask"

if TYPE_CHECKING:
    _AnyVectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    _AnyVectorWrapper = VectorWrapper  # without type parameters before Gymnasium 1.4


class CartPoleMaskedReset(_AnyVectorWrapper):
    """
    Let Gymnasium's ``CartPoleVectorEnv`` reset environments by ``options={"reset_mask": mask}``.

    :param env: the vector environment
    """

    def __init__(self, env: CartPoleVectorEnv) -> None:
        super().__init__(env)
        self.metadata = disable_autoreset(env.metadata)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        :param seed: see Gymnasium
        :param options: ``reset_mask``: which environments to reset, shape ``(num_envs,)``; the rest see Gymnasium
        :return: observations of all environments, and infos
        """
        inner: Any = self.env
        if options is None or RESET_MASK not in options:
            return self.env.reset(seed=seed, options=options)
        mask = options[RESET_MASK]
        inner.state[:, mask] = inner.np_random.uniform(inner.low, inner.high, size=(4, int(mask.sum())))
        inner.steps[mask] = 0
        inner.prev_done[mask] = False
        return inner.state.T.astype(np.float32), {}


def disable_autoreset(metadata: dict[str, Any]) -> dict[str, Any]:
    """
    :param metadata: of a vector environment
    :return: the same with ``AutoresetMode.DISABLED``
    """
    return {**metadata, "autoreset_mode": AutoresetMode.DISABLED}


def use_masked_reset(env: AnyVectorEnv) -> AnyVectorEnv:
    """
    :param env: a vector environment, perhaps in wrappers
    :return: one that resets ended environments in the same step, or on request: the same, or where it was
        ``NEXT_STEP`` one with other innermost layers
    :raises ValueError: if that is not possible
    """
    mode = env.metadata.get("autoreset_mode")
    if mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
        return env
    convert = _find_conversion(env.unwrapped)  # some of Gymnasium's own do not name their mode
    name = type(env.unwrapped).__name__
    if convert is None and mode is not AutoresetMode.NEXT_STEP:
        raise ValueError(
            f"expected metadata['autoreset_mode'] of {name} to be an AutoresetMode of Gymnasium, found {mode!r}"
        )
    if convert is None:
        raise ValueError(
            f"{name} has AutoresetMode.NEXT_STEP, whose reset steps would be transitions to SB3; it needs SAME_STEP, or"
            ' DISABLED with reset(options={"reset_mask": mask})'
        )
    return _convert_base(env, convert)


def _convert_base(env: AnyVectorEnv, convert: Callable[[Any], AnyVectorEnv]) -> AnyVectorEnv:
    if not isinstance(env, VectorWrapper):
        return convert(env)
    layer = env
    while isinstance(layer.env, VectorWrapper):
        layer = layer.env
    layer.env = convert(layer.env)
    return env


def _find_conversion(base: AnyVectorEnv) -> Callable[[Any], AnyVectorEnv] | None:
    if isinstance(base, CartPoleVectorEnv):
        return CartPoleMaskedReset
    # Without importing JAX or EnvPool: the modules of an existing object are loaded.
    functional = sys.modules.get("gymnasium.envs.functional_jax_env")
    if functional is not None and isinstance(base, functional.FunctionalJaxVectorEnv):
        from sb3_ext.vec.vector_envs.jax_vector_env import JaxVectorEnv

        return JaxVectorEnv
    pools = sys.modules.get("envpool.python.gymnasium_envpool")
    if pools is not None and isinstance(base, pools.GymnasiumEnvPoolMixin):
        from sb3_ext.vec.vector_envs.pool_vector_env import PoolVectorEnv

        return PoolVectorEnv
    return None
