"""
Save and restore Gymnasium's MuJoCo environments; pickling would silently reset them.

The next step of the simulation depends on ``mjSTATE_INTEGRATION``. Environments also read results of the *last* step
(Ant and Humanoid compare positions before and after a step), so these are saved too; recomputed, they would be of
another moment.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

LIVE_ATTRIBUTES = frozenset({"model", "data", "mujoco_renderer"})

# Their size depends on the current contacts, and the next step recomputes them.
_TRANSIENT_PREFIXES = ("efc_", "iefc_", "efm_", "island_", "map_")


def is_mujoco(layer: object) -> bool:
    """
    :param layer: any object
    :return: whether it is an environment on Gymnasium's ``MujocoEnv``
    """
    module = sys.modules.get("gymnasium.envs.mujoco.mujoco_env")
    return module is not None and isinstance(layer, module.MujocoEnv)


def get_physics(layer: Any) -> dict[str, np.ndarray]:
    """
    :param layer: an environment for which :func:`is_mujoco` holds
    :return: the simulation's state, and the results of its last step by MuJoCo's names
    """
    mujoco = sys.modules["mujoco"]
    state = np.empty(mujoco.mj_stateSize(layer.model, mujoco.mjtState.mjSTATE_INTEGRATION))
    mujoco.mj_getState(layer.model, layer.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    return {"": state, **{name: results.copy() for name, results in _get_results(layer.data).items()}}


def set_physics(layer: Any, physics: dict[str, np.ndarray]) -> None:
    """
    :param layer: an environment of the same model
    :param physics: taken by :func:`get_physics`
    """
    mujoco = sys.modules["mujoco"]
    mujoco.mj_setState(layer.model, layer.data, physics[""], mujoco.mjtState.mjSTATE_INTEGRATION)
    for name, results in _get_results(layer.data).items():
        if name in physics and physics[name].shape == results.shape:
            results[...] = physics[name]


def _get_results(data: Any) -> dict[str, np.ndarray]:
    arrays = {name: getattr(data, name) for name in dir(data) if not name.startswith(("_", *_TRANSIENT_PREFIXES))}
    return {
        name: array for name, array in arrays.items() if isinstance(array, np.ndarray) and array.dtype == np.float64
    }
