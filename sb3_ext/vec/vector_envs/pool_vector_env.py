"""Use environments of EnvPool as a vector environment that SB3 can use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError
from sb3_ext.vec.vector_envs.masked_reset import RESET_MASK, disable_autoreset

_MAX_SEED = 2**31 - 1  # EnvPool's seeds are 32-bit integers with a sign
_RENDER_PREFIX = "_render_"  # of the attributes in which a pool keeps the arguments of rendering
_INDEX_KEYS = ("env_id", "players")  # of infos: which environments they are of


class PoolVectorEnv(VectorEnv[Any, Any, Any]):
    """
    Reset the environments of a pool by ``options={"reset_mask": mask}``.

    Its seeds are those of the constructor, so a reset with a seed makes a new pool.

    :param pool: from ``envpool.make_gymnasium``
    :raises ValueError: if it has several players, or steps only some of its environments at a time
    """

    def __init__(self, pool: Any) -> None:
        config = pool.config
        if config["max_num_players"] > 1 or config["batch_size"] not in (0, config["num_envs"]):
            raise ValueError("expected a pool of one player, with all environments in each batch")
        self._pool = pool
        self.num_envs = pool.num_envs
        self.metadata = disable_autoreset(pool.metadata)
        self.render_mode = pool.render_mode
        with _ignoring_rounded_bounds():
            self.single_observation_space = pool.single_observation_space
            self.single_action_space = pool.single_action_space
            self.observation_space, self.action_space = pool.observation_space, pool.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        :param seed: of the first environment; the others' follow
        :param options: ``reset_mask``: which environments to reset, shape ``(num_envs,)``
        :return: observations of all environments, and infos; zeros for those that are not reset
        """
        if seed is not None:
            self._seed(seed)
        mask = np.ones(self.num_envs, dtype=bool) if options is None else options[RESET_MASK]
        indices = np.flatnonzero(mask).astype(np.int32)
        with _ignoring_rounded_bounds():
            observations, infos = self._pool.reset(indices)
        return _spread(observations, mask), _spread_infos(infos, mask)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """
        :param actions: one each
        :return: observations, rewards, terminations, truncations and infos
        """
        with _ignoring_rounded_bounds():
            observations, rewards, terminated, truncated, infos = self._pool.step(np.ascontiguousarray(actions))
        return observations, rewards, terminated, truncated, _drop_indices(infos)

    def render(self) -> Any:
        """
        :return: a frame of each environment
        """
        return self._pool.render(env_ids=np.arange(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """
        :param kwargs: see Gymnasium
        """
        self._pool.close()

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :raises SnapshotError: always
        """
        raise SnapshotError("EnvPool cannot save its environments")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :param state: there is none
        :raises SnapshotError: always
        """
        raise SnapshotError("EnvPool cannot restore its environments")

    def _seed(self, seed: int) -> None:
        seeds = [(seed + index) % _MAX_SEED for index in range(self.num_envs)]
        config = {**self._pool.config, "env_seed": seeds}
        kind, spec_class = type(self._pool), type(self._pool.spec)
        self._pool.close()
        with _ignoring_rounded_bounds():
            pool = kind(spec_class(spec_class.gen_config(**config)))
        vars(pool).update({name: value for name, value in vars(self._pool).items() if name.startswith(_RENDER_PREFIX)})
        self._pool = pool


def make_pool_vector_env(task_id: str, num_envs: int, options: Mapping[str, Any]) -> PoolVectorEnv:
    """
    :param task_id: of EnvPool, such as ``Pong-v5``
    :param num_envs: how many
    :param options: keyword arguments of ``envpool.make_gymnasium``
    :return: the vector environment
    :raises ImportError: if EnvPool is not installed
    """
    import envpool

    with _ignoring_rounded_bounds():
        pool = envpool.make_gymnasium(task_id, num_envs=num_envs, **options)
    return PoolVectorEnv(pool)


@contextmanager
def _ignoring_rounded_bounds() -> Iterator[None]:
    """Ignore Gymnasium's warnings that EnvPool's bounds of float64 are rounded: each step makes the spaces anew."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting")
        yield


def _spread(values: Any, mask: NDArray[np.bool_]) -> Any:
    """:return: the rows of some environments as rows of all, with zeros for the others"""
    if isinstance(values, dict):
        return {key: _spread(part, mask) for key, part in values.items()}
    rows = np.zeros((len(mask), *np.shape(values)[1:]), dtype=values.dtype)
    rows[mask] = values
    return rows


def _spread_infos(infos: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    kept = _spread(_drop_indices(infos), mask)
    return {**kept, **{f"_{key}": mask for key in kept}}


def _drop_indices(infos: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in infos.items() if key not in _INDEX_KEYS}
