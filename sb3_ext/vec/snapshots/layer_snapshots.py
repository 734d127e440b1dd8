"""
Save the state of an environment in the middle of an episode, and restore it, also in another process.

An environment is a stack of layers: wrappers, and the environment itself. The layer objects of the restoring process
are kept; only their state is replaced, by

1. ``state_dict()`` and ``load_state_dict(state)``, where its class has them (:class:`~sb3_ext.stateful.Stateful`): a
   wrapper's state is its own, without that of what it wraps, a ``VecEnv``'s that of all its environments;
2. an adapter, for MuJoCo and for ``RemakeWrapper``, whose state includes that of the environment inside;
3. its own ``__getstate__`` and ``__setstate__``;
4. else its attributes, pickled.

A snapshot of an earlier version can also be restored if its stack differs only in layers that no step depends on.

A class that inherits ``EzPickle`` pickles only the arguments of its constructor: unpickling makes a new environment, in
another state. Such a layer needs 1 or 2.
"""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorWrapper
from gymnasium.wrappers.vector import (
    VectorizeTransformAction,
    VectorizeTransformObservation,
    VectorizeTransformReward,
)
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecMonitor

from sb3_ext.errors import CheckpointError
from sb3_ext.internals.gymnasium import CONSTRUCTION_ATTRIBUTES, GENERATOR_ATTRIBUTE, GENERATOR_SEED_ATTRIBUTE
from sb3_ext.stateful import Stateful, describe_outdated_methods
from sb3_ext.vec.mask_method import MaskMethod
from sb3_ext.vec.remake_wrapper import RemakeWrapper
from sb3_ext.vec.snapshots.mujoco_snapshots import LIVE_ATTRIBUTES, get_physics, is_mujoco, set_physics


class SnapshotError(CheckpointError):
    """The state of an environment cannot be saved, or does not fit the environment to restore."""


class OtherEnvironmentError(SnapshotError):
    """The snapshot is of another environment, not of the same one in other wrappers."""


_STATE_DICT = "get_snapshot()"  # the method's name in version 0.1.0, whose snapshots are read, too
_PICKLE_METHODS = "__getstate__()"
_PHYSICS = "physics"
_SETTINGS, _REMADE = "settings", "remade"

# Arguments of the constructor; the same in the restoring process.
_ARGUMENTS = CONSTRUCTION_ATTRIBUTES | {"spec", "class_attributes"}
# No step depends on them, and earlier versions of this package did not use all of them.
_OPTIONAL_LAYERS = frozenset({"AttributeForwarding", "SnapshotWrapper", "VecCheckFinite"})
# Classes that replace those of earlier versions, whose snapshots are the same.
_SNAPSHOT_NAMES = {"LightVecNormalize": "VecNormalize", "SequentialVecEnv": "DummyVecEnv"}
# Attributes that belong to their process, or that every step replaces. Monitor's lists of all episodes grow with the
# run, and its file has them too.
_LIVE_ATTRIBUTES: tuple[tuple[type, frozenset[str]], ...] = (
    (gymnasium.Wrapper, frozenset({"env"})),
    (VectorWrapper, frozenset({"env"})),
    (SyncVectorEnv, frozenset({"envs", "env_fns"})),
    (VectorizeTransformReward, frozenset({"wrapper"})),  # these convert a batch row by row, and have no state
    (VectorizeTransformObservation, frozenset({"wrapper"})),
    (VectorizeTransformAction, frozenset({"wrapper"})),
    (VecEnvWrapper, frozenset({"venv"})),
    (Monitor, frozenset({"results_writer", "episode_returns", "episode_lengths", "episode_times"})),
    (VecMonitor, frozenset({"results_writer"})),
    (DummyVecEnv, frozenset({"envs", "actions", "buf_obs", "buf_rews", "buf_dones", "buf_infos", "_paused"})),
    (SubprocVecEnv, frozenset({"processes", "remotes", "work_remotes", "waiting", "closed"})),
)


def freeze(layers: Sequence[object], *, past_ez_pickle: bool = False) -> bytes:
    """
    Save the state of a stack of layers. References to a layer or to a space of theirs stay references.

    :param layers: environments, wrappers and ``VecEnv``s
    :param past_ez_pickle: whether to save the attributes of a layer that inherits ``EzPickle``: for games whose state
        is known to be in their attributes
    :return: opaque; unpickling it runs code, so only :func:`thaw` snapshots of your own runs
    :raises SnapshotError: if a layer's state cannot be saved
    """
    live = [*layers, *_find_spaces(layers)]
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, live)
    pickler.dump([name_layer(item) for item in live])
    for item in live:
        place = name_layer(item)
        try:
            state = _get_state(item, past_ez_pickle)
            pickler.dump(list(state))
            for name, value in state.items():
                place = f"{name_layer(item)}.{name}"
                pickler.dump(value)
        except SnapshotError:
            raise
        except Exception as error:  # the code of any class runs here
            raise SnapshotError(f"{place} cannot be saved: {error}") from error
    return buffer.getvalue()


def thaw(layers: Sequence[object], snapshot: bytes, *, replaced: Mapping[str, str] | None = None) -> None:
    """
    Restore a state.

    :param layers: like those that were saved, as a rule in a new process; unchanged after an error
    :param snapshot: from :func:`freeze`
    :param replaced: for layers that are now of another class, and keep their own state: name of the class by name of
        the saved class
    :raises OtherEnvironmentError: if the snapshot is of another environment
    :raises SnapshotError: if the layers differ, or one cannot be restored
    """
    live = [*layers, *_find_spaces(layers)]
    unpickler = _Unpickler(io.BytesIO(snapshot))
    names = replaced or {}
    unpickler.live = _align(live, [names.get(name, name) for name in unpickler.load()], _OPTIONAL_LAYERS)
    earlier = [dict(vars(item)) for item in live]
    try:
        states = [_load_state(unpickler, item) for item in unpickler.live]
        for item, state in zip(unpickler.live, states, strict=True):
            if item is not None and name_layer(item) not in names.values():
                _set_state(item, state)
    except Exception as error:  # the code of any class runs here
        for item, attributes in zip(live, earlier, strict=True):
            vars(item).clear()
            vars(item).update(attributes)
        raise SnapshotError(f"{' > '.join(map(name_layer, live))} cannot be restored: {error}") from error


def list_layers(env: gymnasium.Env[Any, Any]) -> list[gymnasium.Env[Any, Any]]:
    """
    :param env: one environment
    :return: its wrappers, outermost first, and the environment itself; a ``RemakeWrapper`` stands for all inside it
    """
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper) and not isinstance(layers[-1], RemakeWrapper):
        layers.append(layers[-1].env)
    return layers


def has_protocol(layer: object) -> bool:
    """
    :param layer: any object
    :return: whether its class, rather than something that it wraps, is :class:`~sb3_ext.stateful.Stateful`
    """
    return issubclass(type(layer), Stateful)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, live: Sequence[object]) -> None:
        super().__init__(file, protocol=5)
        self._index_of = {id(item): index for index, item in enumerate(live)}

    def persistent_id(self, obj: Any) -> int | None:
        return self._index_of.get(id(obj))

    def reducer_override(self, obj: Any) -> Any:
        if _is_ez_pickled(type(obj)):
            raise SnapshotError(_explain_ez_pickle(type(obj)))
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    live: Sequence[object | None] = ()
    refers_to_missing = False

    def persistent_load(self, pid: Any) -> object:
        self.refers_to_missing |= self.live[pid] is None
        return self.live[pid]


def _align(live: Sequence[object], saved: Sequence[str], optional: Collection[str]) -> list[object | None]:
    """Find the live layer of each saved one; ``None`` for an optional one that is missing."""
    rest = list(live)
    aligned: list[object | None] = []
    for name in saved:
        while rest and name_layer(rest[0]) != name and name_layer(rest[0]) in optional:
            del rest[0]
        if rest and name_layer(rest[0]) == name:
            aligned.append(rest.pop(0))
        elif name in optional:
            aligned.append(None)
        else:
            raise _explain_difference(live, saved)
    if any(name_layer(item) not in optional for item in rest):
        raise _explain_difference(live, saved)
    return aligned


def _load_state(unpickler: _Unpickler, item: object | None) -> dict[str, Any]:
    # Snapshots of 0.1.0 have the attributes env and venv, too.
    live_attributes = _list_live_attributes(item)
    state = {}
    for name in unpickler.load():
        unpickler.refers_to_missing = False
        value = unpickler.load()
        if item is None or name in live_attributes:
            continue
        if unpickler.refers_to_missing:
            raise SnapshotError(f"its attribute {name_layer(item)}.{name} refers to a wrapper that is missing now")
        state[name] = value
    return state


def _explain_difference(live: Sequence[object], saved: Sequence[str]) -> SnapshotError:
    found = list(map(name_layer, live))
    difference = f"the snapshot is of {_list_counts(saved)}, but the environment is {_list_counts(found)}"
    envs = (item for item in live if isinstance(item, gymnasium.Env) and not isinstance(item, gymnasium.Wrapper))
    if any(name_layer(env) not in saved for env in envs):
        return OtherEnvironmentError(difference)
    if set(saved) == set(found):
        return SnapshotError(difference)
    return SnapshotError(
        f"the checkpoint was written by an earlier version, or script, with other wrappers: {difference}"
    )


def _list_counts(names: Sequence[str]) -> str:
    return " > ".join(name if count == 1 else f"{name} x{count}" for name, count in Counter(names).items())


def _get_state(layer: Any, past_ez_pickle: bool) -> dict[str, Any]:
    attributes = vars(layer)
    outdated = describe_outdated_methods(type(layer), "get_snapshot", "set_snapshot")
    if outdated is not None:
        raise SnapshotError(outdated)
    if isinstance(layer, spaces.Space):
        return {GENERATOR_ATTRIBUTE: attributes[GENERATOR_ATTRIBUTE]}
    if has_protocol(layer):
        names = (GENERATOR_ATTRIBUTE, GENERATOR_SEED_ATTRIBUTE)
        generator = {name: attributes[name] for name in names if name in attributes}
        return {**generator, _STATE_DICT: layer.state_dict()}
    if isinstance(layer, RemakeWrapper):
        return {_SETTINGS: layer.get_settings(), _REMADE: freeze(list_layers(layer.env))}
    if is_mujoco(layer):
        return {**_select_attributes(layer), _PHYSICS: get_physics(layer)}
    if _is_ez_pickled(type(layer)):
        if past_ez_pickle:
            return _select_attributes(layer)
        raise SnapshotError(_explain_ez_pickle(type(layer)))
    if _has_pickle_methods(layer):
        return {_PICKLE_METHODS: layer.__getstate__()}
    return _select_attributes(layer)


def _set_state(layer: Any, state: dict[str, Any]) -> None:
    if _PICKLE_METHODS in state:
        layer.__setstate__(state[_PICKLE_METHODS])
        return
    if _STATE_DICT in state:
        own_state = state.pop(_STATE_DICT)
        vars(layer).update(state)
        layer.load_state_dict(own_state)
        return
    if isinstance(layer, RemakeWrapper):
        layer.load_settings(state[_SETTINGS])
        thaw(list_layers(layer.env), state[_REMADE])
        return
    physics = state.pop(_PHYSICS, None)
    if not isinstance(layer, spaces.Space):
        for name in set(_select_attributes(layer)) - set(state):
            delattr(layer, name)
    vars(layer).update(state)
    if physics is not None:
        set_physics(layer, physics)


def _select_attributes(layer: object) -> dict[str, Any]:
    live = _list_live_attributes(layer)
    return {name: value for name, value in vars(layer).items() if name not in live and not _is_resource(value)}


def _list_live_attributes(layer: object) -> frozenset[str]:
    kind: Any = type(layer)
    live = _list_class_attributes(kind)
    return live | LIVE_ATTRIBUTES if is_mujoco(layer) else live


@cache  # searches copy thousands of environments a second
def _list_class_attributes(kind: type[Any]) -> frozenset[str]:
    return _ARGUMENTS.union(*(names for base, names in _LIVE_ATTRIBUTES if issubclass(kind, base)))


def _is_resource(value: object) -> bool:
    if isinstance(value, FunctionType | MethodType | MaskMethod | ModuleType | io.IOBase):
        return True
    return type(value).__module__.partition(".")[0] == "pygame"  # windows and clocks of rendered environments


def _has_pickle_methods(layer: object) -> bool:
    # Not of a VecEnv: VecNormalize drops its running returns and its environments when it is pickled.
    if isinstance(layer, VecEnv) or not hasattr(layer, "__setstate__"):
        return False
    return getattr(type(layer), "__getstate__", None) is not getattr(object, "__getstate__", None)


def _is_ez_pickled(kind: type) -> bool:
    # By name, since Gym, Gymnasium and PettingZoo have a class each.
    return any(base.__name__ == "EzPickle" for base in kind.__mro__)


def _explain_ez_pickle(kind: type) -> str:
    return f"{kind.__name__} inherits EzPickle, which starts a new environment instead of restoring this one"


def _find_spaces(layers: Sequence[object]) -> list[spaces.Space[Any]]:
    values = [value for layer in layers for value in vars(layer).values()]
    parts = [part for value in values for part in (value.values() if isinstance(value, dict) else (value,))]
    return list({id(space): space for part in parts for space in walk_spaces(part)}.values())


def walk_spaces(value: object) -> Iterator[spaces.Space[Any]]:
    """
    :param value: any object
    :return: the value itself if it is a space, and its subspaces
    """
    if not isinstance(value, spaces.Space):
        return
    yield value
    for part in vars(value).values():
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else (part,)
        for subspace in parts:
            yield from walk_spaces(subspace)


def name_layer(item: object) -> str:
    """
    :param item: an environment, a wrapper, a ``VecEnv`` or a space
    :return: the name that snapshots have for its class
    """
    name = type(item).__name__
    return _SNAPSHOT_NAMES.get(name, name)
