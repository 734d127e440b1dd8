"""Convert Gymnasium spaces to plain JSON and back, so that models are built without unpickling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_ext.errors import CheckpointError

_DTYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
_MOST_ELEMENTS = 2**24
"""Limit of elements: a short description can ask for any amount of memory."""


def describe_space(space: spaces.Space[Any]) -> dict[str, Any]:
    """
    Describe a space in strict JSON.

    :param space: any space; only the type of spaces that SB3 does not support is described
    :return: ``type`` and the arguments of its constructor; infinite bounds as strings, equal bounds as one number
    """
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "dtype": str(space.dtype),
            "shape": list(space.shape),
            "low": _describe_bounds(space.low),
            "high": _describe_bounds(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "dtype": str(space.dtype), "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {
            "type": "MultiDiscrete",
            "dtype": str(space.dtype),
            "nvec": space.nvec.tolist(),
            "start": space.start.tolist(),
        }
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: describe_space(member) for key, member in space.spaces.items()}}
    return {"type": type(space).__name__}


def make_space(description: Any) -> spaces.Space[Any]:
    """
    Build a space from a description, which may be untrusted.

    :param description: parsed JSON of :func:`describe_space`
    :return: the space
    :raises CheckpointError: if it does not describe a space of a reasonable size
    """
    try:
        return _make_space(description, may_nest=True)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(f"the manifest has an invalid space ({reason})") from error


def _make_space(description: Any, *, may_nest: bool) -> spaces.Space[Any]:
    if not isinstance(description, Mapping):
        raise TypeError(f"expected an object with 'type', found {type(description).__name__}")
    kind = description["type"]
    if kind == "Box":
        return _make_box(description)
    if kind == "Discrete":
        return _make_discrete(description)
    if kind == "MultiDiscrete":
        nvec, start = np.asarray(description["nvec"], np.int64), np.asarray(description["start"], np.int64)
        if nvec.max() > _MOST_ELEMENTS or nvec.sum() > _MOST_ELEMENTS:
            raise ValueError(f"more than {_MOST_ELEMENTS} choices")
        return spaces.MultiDiscrete(nvec, dtype=_read_dtype(description), start=start)
    if kind == "MultiBinary":
        n = description["n"]
        return spaces.MultiBinary(list(_read_shape(n)) if isinstance(n, list) else _read_size(n))
    if kind == "Dict" and may_nest:
        members = description["spaces"].items()
        # Gymnasium sorts the keys of a mapping, not of pairs; the order decides how features are concatenated.
        return spaces.Dict([(str(key), _make_space(member, may_nest=False)) for key, member in members])
    raise ValueError(f"spaces of type {str(kind)[:40]!r} are not supported here")


def _make_discrete(description: Mapping[str, Any]) -> spaces.Discrete:
    dtype = _read_dtype(description)
    # Gymnasium 1.1 has no such argument.
    more = {} if dtype is np.int64 else {"dtype": dtype}
    return spaces.Discrete(_read_size(description["n"]), start=int(description["start"]), **more)


def _make_box(description: Mapping[str, Any]) -> spaces.Box:
    shape, dtype = _read_shape(description["shape"]), _read_dtype(description)
    low, high = (_read_bounds(description[name], shape, dtype) for name in ("low", "high"))
    return spaces.Box(low, high, shape, dtype)


def _describe_bounds(bounds: np.ndarray[Any, Any]) -> Any:
    if bounds.size and (bounds == bounds.flat[0]).all():
        return _describe_number(bounds.flat[0].item())
    return [_describe_number(number) for number in bounds.ravel().tolist()]


def _describe_number(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _read_bounds(bounds: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    if isinstance(bounds, list):
        return np.array([_read_number(number) for number in bounds], dtype).reshape(shape)
    return np.full(shape, _read_number(bounds), dtype)


def _read_number(number: Any) -> float:
    if number in ("inf", "-inf"):
        return float(number)
    if not isinstance(number, int | float):
        raise TypeError(f"expected a number, found {str(number)[:40]!r}")
    return number


def _read_dtype(description: Mapping[str, Any]) -> Any:
    if description["dtype"] not in _DTYPES:
        raise ValueError(f"expected a number's dtype, found {str(description['dtype'])[:40]!r}")
    return np.dtype(description["dtype"]).type


def _read_shape(sizes: Any) -> tuple[int, ...]:
    shape = tuple(_read_size(size) for size in sizes)
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"shape {shape} has more than {_MOST_ELEMENTS} elements")
    return shape


def _read_size(size: Any) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= _MOST_ELEMENTS:
        raise ValueError(f"expected a size between 1 and {_MOST_ELEMENTS}, found {str(size)[:40]}")
    return size
