"""
Save and restore a ``VecEnv`` with its wrappers: stacked frames, running statistics, partial episodes.

Possible for ``DummyVecEnv``, for ``WorkerVecEnv`` and for ``SubprocVecEnv`` whose environments are in a
``SnapshotWrapper``, each of which can restore what another has saved; and for a ``VecEnv`` that can save itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecMonitor

from sb3_ext.vec.monitor_files import MonitorFile, cut_monitor_file, get_monitor_file, tolerate_full_disk
from sb3_ext.vec.snapshots.environment_states import EnvironmentStates, read_worker_snapshots
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, list_layers, name_layer, thaw
from sb3_ext.vec.snapshots.vec_env_access import VecEnvAccess, get_access


@dataclass(frozen=True)
class _VecSnapshot:
    """
    :param layers: the state of the wrappers, and of the ``VecEnv`` itself
    :param vec_env: name of its class
    :param environments: the environments' states; ``None`` if those of the ``VecEnv`` include them
    """

    layers: bytes
    vec_env: str
    environments: EnvironmentStates | None


def get_vec_snapshot(venv: VecEnv) -> bytes:
    """
    :param venv: with its wrappers
    :return: opaque; unpickling it runs code, so only restore snapshots of your own runs
    :raises SnapshotError: if the state cannot be saved
    """
    access = get_access(venv)
    if not access.can_be_saved:
        raise SnapshotError(f"the environments of {type(access.env).__name__} cannot be saved; {access.remedy}")
    environments = access.get_states() if access.has_states else None
    layers = freeze([*_list_wrappers(venv), access.env])
    return pickle.dumps(_VecSnapshot(layers, name_layer(access.env), environments))


def set_vec_snapshot(venv: VecEnv, snapshot: bytes) -> bool:
    """
    Restore environments with their wrappers.

    :param venv: as many environments, with the same wrappers, as a rule in a new process; its kind may be another one
    :param snapshot: from :func:`get_vec_snapshot`
    :return: whether the global generators of the processes that step the environments are as they were, too; not if
        the environments are divided over the processes in another way
    :raises SnapshotError: if it does not fit these environments
    """
    access, saved = get_access(venv), pickle.loads(snapshot)
    if not isinstance(saved, _VecSnapshot):
        return _set_earlier_snapshot(venv, access, *saved)
    if saved.environments is None or not access.has_states:
        if saved.environments is not None or access.has_states:
            raise SnapshotError(f"the snapshot is of a {saved.vec_env}, here is a {type(access.env).__name__}")
        thaw([*_list_wrappers(venv), access.env], saved.layers)
        return True
    has_generators = access.set_states(saved.environments)
    _thaw_wrappers(venv, access, saved.layers, saved.vec_env)
    return has_generators


def _thaw_wrappers(venv: VecEnv, access: VecEnvAccess, layers: bytes, saved_name: str) -> None:
    """Restore the wrappers, and the ``VecEnv`` itself if it is of the same class."""
    name = name_layer(access.env)
    thaw([*_list_wrappers(venv), access.env], layers, replaced=None if name == saved_name else {saved_name: name})


def _set_earlier_snapshot(venv: VecEnv, access: VecEnvAccess, layers: bytes, workers: list[bytes]) -> bool:
    """Restore a snapshot of a version whose snapshots fit only the same kind of ``VecEnv``."""
    if workers:  # SubprocVecEnv, or the mode subproc of 0.1.0
        if not access.has_states:
            raise SnapshotError(f"the snapshot is of a SubprocVecEnv, here is a {type(access.env).__name__}")
        has_generators = access.set_states(read_worker_snapshots(workers))
        _thaw_wrappers(venv, access, layers, SubprocVecEnv.__name__)
        return has_generators
    inner = [access.env]
    if access.has_states and isinstance(access.env, DummyVecEnv):
        inner += [layer for env in access.env.envs for layer in list_layers(env)]
    thaw([*_list_wrappers(venv), *inner], layers)
    return True


def get_monitor_files(venv: VecEnv) -> list[MonitorFile | None]:
    """
    :param venv: with its wrappers
    :return: the files of every ``VecMonitor`` and ``Monitor`` that can be reached, ``None`` for one that writes none
    """
    return [*map(get_monitor_file, _list_monitors(venv)), *get_access(venv).get_monitor_files()]


def tolerate_full_disks(venv: VecEnv) -> None:
    """
    Let training continue when an episode cannot be written. Workers do the same for their own monitors.

    :param venv: with its wrappers
    """
    for monitor in _list_monitors(venv):
        tolerate_full_disk(monitor)


def cut_monitor_files(venv: VecEnv, sizes_bytes: Sequence[int | None]) -> list[MonitorFile | None]:
    """
    Remove episodes after a checkpoint from the files.

    :param venv: with the same monitors
    :param sizes_bytes: the sizes at the checkpoint, in the order of :func:`get_monitor_files`; ``None`` leaves a file
        alone
    :return: the files as they are now
    """
    monitors = _list_monitors(venv)
    for monitor, size_bytes in zip(monitors, sizes_bytes, strict=False):
        if size_bytes is not None:
            cut_monitor_file(monitor, size_bytes)
    get_access(venv).cut_monitor_files(sizes_bytes[len(monitors) :])
    return get_monitor_files(venv)


def _list_wrappers(venv: VecEnv) -> list[VecEnvWrapper]:
    wrappers: list[VecEnvWrapper] = []
    while isinstance(venv, VecEnvWrapper):
        wrappers.append(venv)
        venv = venv.venv
    return wrappers


def _list_monitors(venv: VecEnv) -> list[Monitor[Any, Any] | VecMonitor]:
    envs = venv.unwrapped.envs if isinstance(venv.unwrapped, DummyVecEnv) else []
    layers = [*_list_wrappers(venv), *(layer for env in envs for layer in list_layers(env))]
    return [layer for layer in layers if isinstance(layer, Monitor | VecMonitor)]
