"""Describe the parameters of a model in plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.algorithms.parameters import read_all_parameters

_LEFT_OUT = {"env", "tensorboard_log", "verbose"}


def describe_parameters(model: BaseAlgorithm) -> dict[str, Any]:
    """
    :param model: a model of any algorithm
    :return: ``algorithm``, ``policy``, ``env`` if its environments have an id, ``num_envs``, and ``params``: the
        arguments of its constructor that it keeps, as plain values; a schedule as its first and last value
    """
    described: dict[str, Any] = {"algorithm": type(model).__name__, "policy": type(model.policy).__name__}
    if (env := _find_env_id(model)) is not None:
        described["env"] = env
    names = [name for name in read_all_parameters(type(model)) if name not in {*_LEFT_OUT, "policy"}]
    params = {name: _make_plain(getattr(model, name)) for name in names if hasattr(model, name)}
    return {**described, "num_envs": model.n_envs, "params": params}


def _find_env_id(model: BaseAlgorithm) -> str | None:
    env = model.get_env()
    try:
        spec = None if env is None else env.get_attr("spec", 0)[0]
    except Exception:  # environments of other kinds have none
        return None
    return getattr(spec, "id", None)


def _make_plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(name): _make_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_plain(item) for item in value]
    if isinstance(value, type):
        return value.__name__
    if callable(value):
        try:
            return _describe_schedule(value)
        except Exception:  # another kind of function
            return getattr(value, "__name__", type(value).__name__)
    return str(getattr(value, "value", value))  # of enumerations their values


def _describe_schedule(schedule: Callable[[float], float]) -> float | str:
    first, last = float(schedule(1.0)), float(schedule(0.0))
    return first if first == last else f"from {first:g} to {last:g}"
