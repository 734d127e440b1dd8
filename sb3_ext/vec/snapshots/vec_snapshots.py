"""
Save and restore a ``VecEnv`` with its wrappers: stacked frames, running statistics, partial episodes.

Possible for ``DummyVecEnv``, for ``SubprocVecEnv`` whose environments are in a ``SnapshotWrapper``, and for a
``VecEnv`` that can save itself, as ``WorkerVecEnv`` does.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecEnvWrapper, VecMonitor

from sb3_ext.vec.monitor_files import MonitorFile, cut_monitor_file, get_monitor_file, tolerate_full_disk
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, thaw
from sb3_ext.vec.snapshots.vec_env_access import SupportsSubprocSnapshot, get_access


def get_vec_snapshot(venv: VecEnv) -> bytes:
    """
    :param venv: with its wrappers
    :return: opaque; unpickling it runs code, so only restore snapshots of your own runs
    :raises SnapshotError: if the state cannot be saved
    """
    access = get_access(venv)
    if not access.can_be_saved:
        raise SnapshotError(f"the environments of {type(access.env).__name__} cannot be saved; {access.remedy}")
    workers = access.get_worker_snapshots()
    return pickle.dumps((freeze(_list_vec_layers(venv)), workers))


def set_vec_snapshot(venv: VecEnv, snapshot: bytes) -> None:
    """
    :param venv: as many environments, with the same wrappers, as a rule in a new process
    :param snapshot: from :func:`get_vec_snapshot`
    :raises SnapshotError: if it does not fit these environments
    """
    access, layers = get_access(venv), _list_vec_layers(venv)
    saved, workers = pickle.loads(snapshot)
    access.validate_worker_snapshots(workers)
    if workers and isinstance(access.env, SupportsSubprocSnapshot):  # from 0.1.0, whose mode subproc used SubprocVecEnv
        thaw([layer for layer in layers if layer is not access.env], saved, left_out=[SubprocVecEnv.__name__])
    else:
        thaw(layers, saved)
    access.set_worker_snapshots(workers)


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


def _list_vec_layers(venv: VecEnv) -> list[Any]:
    layers: list[Any] = [venv]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    return [*layers[:-1], *get_access(venv).list_layers()]


def _list_monitors(venv: VecEnv) -> list[Monitor[Any, Any] | VecMonitor]:
    return [layer for layer in _list_vec_layers(venv) if isinstance(layer, Monitor | VecMonitor)]
