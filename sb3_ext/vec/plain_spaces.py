"""Convert spaces that Stable-Baselines3 does not support to equivalent ones that it supports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

Path = tuple[str | int, ...]
Convert = Callable[[Any], Any]


class PlainSpacesWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Replace spaces that Stable-Baselines3 refuses or handles wrongly::

        model = PPO("MultiInputPolicy", PlainSpacesWrapper(gymnasium.make("Blackjack-v1")))

    ============================================  =====================================================
    the environment has                           the wrapper has
    ============================================  =====================================================
    ``Discrete`` that does not start at 0         ``Discrete`` that does
    ``MultiDiscrete``, of more than one           ``MultiDiscrete`` of one dimension that starts at 0
    dimension or not from 0
    actions in a ``MultiBinary`` of more than     ``MultiBinary`` of one
    one dimension
    actions in a ``Box`` of integers              ``Box`` of float32; actions are rounded
    observations in a ``Box`` of no dimension     ``Box`` of shape (1,)
    observations in a ``Tuple``, or a ``Dict``    one ``Dict`` with keys such as ``0``, ``arm/angle``
    or ``Tuple`` inside another
    ============================================  =====================================================

    All other spaces stay as they are, also those that have no supported equivalent.

    :param env: any environment
    :raises ValueError: if two parts of a nested observation would have the same key
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space, self._convert_observation = _plan_observations(env.observation_space)
        self.action_space, self._convert_action = _plan_actions(env.action_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """
        :param seed: see Gymnasium
        :param options: see Gymnasium
        :return: observation, converted, and info
        """
        observation, info = self.env.reset(seed=seed, options=options)
        return self._convert_observation(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """
        :param action: of this wrapper's action space
        :return: observation, converted, and the rest unchanged
        """
        observation, reward, terminated, truncated, info = self.env.step(self._convert_action(action))
        return self._convert_observation(observation), reward, terminated, truncated, info


def use_plain_spaces(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """
    :param env: any environment
    :return: the environment, in a :class:`PlainSpacesWrapper` if that changes a space
    """
    wrapped = PlainSpacesWrapper(env)
    is_same = (wrapped.observation_space, wrapped.action_space) == (env.observation_space, env.action_space)
    return env if is_same else wrapped


class _Part(NamedTuple):
    path: Path
    convert: Convert


def _plan_observations(space: spaces.Space[Any]) -> tuple[spaces.Space[Any], Convert]:
    is_nested = isinstance(space, spaces.Dict) and any(map(_is_composite, space.spaces.values()))
    if not is_nested and not isinstance(space, spaces.Tuple | spaces.Dict):
        return _plan_part(space)
    if not is_nested and isinstance(space, spaces.Dict):
        # From pairs, since Gymnasium sorts the keys of a mapping: the environment's order is kept.
        plans = {key: _plan_part(part) for key, part in space.spaces.items()}
        return spaces.Dict([(key, plan[0]) for key, plan in plans.items()]), partial(
            _convert_parts, {key: _Part((key,), plan[1]) for key, plan in plans.items()}
        )
    members: list[tuple[str, spaces.Space[Any]]] = []
    parts: dict[str, _Part] = {}
    for path, part in _list_leaves(space):
        key = "/".join(map(str, path))
        if key in parts:
            raise ValueError(f"two parts of the observation would be called {key!r}")
        plain, convert = _plan_part(part)
        members.append((key, plain))
        parts[key] = _Part(path, convert)
    return spaces.Dict(members), partial(_convert_parts, parts)


def _list_leaves(space: spaces.Space[Any], path: Path = ()) -> Iterator[tuple[Path, spaces.Space[Any]]]:
    if not _is_composite(space):
        yield path, space
        return
    items = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)  # type: ignore[attr-defined]
    for key, part in items:
        yield from _list_leaves(part, (*path, key))


def _is_composite(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Dict | spaces.Tuple)


def _plan_part(space: spaces.Space[Any]) -> tuple[spaces.Space[Any], Convert]:
    """Convert an observation that is neither a Dict nor a Tuple."""
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return spaces.Discrete(int(space.n)), partial(_subtract, int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and (space.nvec.ndim > 1 or space.start.any()):
        return spaces.MultiDiscrete(space.nvec.ravel()), partial(_flatten_from, space.start)
    if isinstance(space, spaces.Box) and space.shape == ():
        low, high = space.low.reshape(1), space.high.reshape(1)
        return spaces.Box(low, high, dtype=space.dtype.type), partial(_reshape, (1,))
    return space, _keep


def _plan_actions(space: spaces.Space[Any]) -> tuple[spaces.Space[Any], Convert]:
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return spaces.Discrete(int(space.n)), partial(_add, space.start)
    if isinstance(space, spaces.MultiDiscrete) and (space.nvec.ndim > 1 or space.start.any()):
        return spaces.MultiDiscrete(space.nvec.ravel()), partial(_shape_from, space.start)
    if isinstance(space, spaces.MultiBinary) and len(space.shape) > 1:
        return spaces.MultiBinary(int(np.prod(space.shape))), partial(_reshape, space.shape)
    if isinstance(space, spaces.Box) and space.dtype.kind in "iub":
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
        return spaces.Box(low, high, dtype=np.float32), partial(_round, space.dtype)
    return space, _keep


def _convert_parts(parts: Mapping[str, _Part], observation: Any) -> dict[str, Any]:
    converted = {}
    for key, (path, convert) in parts.items():
        part = observation
        for step in path:
            part = part[step]
        converted[key] = convert(part)
    return converted


# Functions of this module, not lambdas: they are pickled with the environment, and checkpoints name this module.
def _keep(value: Any) -> Any:
    return value


def _add(start: Any, action: Any) -> Any:
    return start + action


def _subtract(start: int, observation: Any) -> Any:
    return observation - start


def _flatten_from(start: Any, observation: Any) -> Any:
    return (np.asarray(observation) - start).ravel()


def _shape_from(start: Any, action: Any) -> Any:
    return np.asarray(action).reshape(start.shape) + start


def _reshape(shape: tuple[int, ...], value: Any) -> Any:
    return np.asarray(value).reshape(shape)


def _round(dtype: np.dtype[Any], action: Any) -> Any:
    return np.rint(action).astype(dtype)
