"""
The state of all environments of a ``VecEnv``, with its wrappers: stacked frames, running statistics, partial episodes.

Possible for ``DummyVecEnv``, for ``SubprocVecEnv`` whose environments are in a ``SnapshotWrapper``, and for a
``VecEnv`` that knows how to save itself, as ``WorkerVecEnv`` does.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecMonitor

from sb3_ext.vec.monitor_files import MonitorFile, cut_monitor_file, get_monitor_file, tolerate_full_disk
from sb3_ext.vec.snapshot_wrapper import SnapshotWrapper
from sb3_ext.vec.snapshots import SnapshotError, freeze, has_protocol, list_layers, thaw
from sb3_ext.vec.workers import WorkerVecEnv


def get_vec_snapshot(venv: VecEnv) -> bytes:
    """
    :param venv: with its wrappers
    :return: opaque; unpickling it runs code, so only ever restore what comes from one's own run
    :raises SnapshotError: if the state cannot be taken: why
    """
    base = venv.unwrapped
    has_workers = _has_snapshot_workers(base)
    if not (has_workers or has_protocol(base) or isinstance(base, DummyVecEnv)):
        remedy = "wrap its environments in SnapshotWrapper" if isinstance(base, SubprocVecEnv) else _PROTOCOL_REMEDY
        raise SnapshotError(f"the environments of {type(base).__name__} cannot be saved; {remedy}")
    workers = base.env_method("get_worker_snapshot") if has_workers else []
    for snapshot, reason in workers:
        if snapshot is None:
            raise SnapshotError(reason)
    return pickle.dumps((freeze(_list_vec_layers(venv)), [snapshot for snapshot, _ in workers]))


def set_vec_snapshot(venv: VecEnv, snapshot: bytes) -> None:
    """
    :param venv: as many environments, with the same wrappers, as a rule in a new process
    :param snapshot: from :func:`get_vec_snapshot`
    :raises SnapshotError: if it does not fit these environments
    """
    base = venv.unwrapped
    layers, workers = pickle.loads(snapshot)
    if workers and isinstance(base, WorkerVecEnv) and base.num_envs == len(workers):
        _set_subproc_snapshot(venv, base, layers, [pickle.loads(worker) for worker in workers])
        return
    if workers and not (_has_snapshot_workers(base) and base.num_envs == len(workers)):
        raise SnapshotError(
            f"the snapshot is of {len(workers)} environments in SnapshotWrapper, each in its own process"
        )
    thaw(_list_vec_layers(venv), layers)
    for index, worker in enumerate(workers):
        (reason,) = base.env_method("set_worker_snapshot", worker, indices=index)
        if reason:
            raise SnapshotError(f"environment {index}: {reason}")


def _set_subproc_snapshot(venv: VecEnv, base: WorkerVecEnv, layers: bytes, workers: list[Any]) -> None:
    """Restore what 0.1.0 has saved in mode ``subproc``, with SubprocVecEnv: a worker for each environment."""
    thaw([layer for layer in _list_vec_layers(venv) if layer is not base], layers, left_out=[SubprocVecEnv.__name__])
    used = {"seeds": [None] * len(workers), "options": [{}] * len(workers), "reset_infos": [{}] * len(workers)}
    base.set_snapshot({"workers": workers, **used})


def get_monitor_files(venv: VecEnv) -> list[MonitorFile | None]:
    """
    :param venv: with its wrappers
    :return: the files of every ``VecMonitor`` and ``Monitor`` that can be reached, ``None`` for one that writes none
    """
    files = [get_monitor_file(monitor) for monitor in _list_monitors(venv)]
    base = venv.unwrapped
    if isinstance(base, WorkerVecEnv):
        return files + base.get_monitor_files()
    return files + (base.env_method("get_monitor_file") if _has_snapshot_workers(base) else [])


def tolerate_full_disks(venv: VecEnv) -> None:
    """
    Let training go on when an episode cannot be written. Workers see to their own monitors.

    :param venv: with its wrappers
    """
    for monitor in _list_monitors(venv):
        tolerate_full_disk(monitor)


def cut_monitor_files(venv: VecEnv, sizes_bytes: Sequence[int | None]) -> list[MonitorFile | None]:
    """
    Go on writing where an earlier process stood.

    :param venv: with the same monitors
    :param sizes_bytes: what the sizes were, in the order of :func:`get_monitor_files`; ``None`` leaves a file alone
    :return: the files as they are now
    """
    monitors = _list_monitors(venv)
    for monitor, size_bytes in zip(monitors, sizes_bytes, strict=False):
        if size_bytes is not None:
            cut_monitor_file(monitor, size_bytes)
    base = venv.unwrapped
    if isinstance(base, WorkerVecEnv):
        base.cut_monitor_files(sizes_bytes[len(monitors) :])
    elif _has_snapshot_workers(base):
        for index, size_bytes in enumerate(sizes_bytes[len(monitors) :]):
            if size_bytes is not None:
                base.env_method("cut_monitor_file", size_bytes, indices=index)
    return get_monitor_files(venv)


_PROTOCOL_REMEDY = "give it get_snapshot() and set_snapshot(snapshot)"


def _list_vec_layers(venv: VecEnv) -> list[Any]:
    layers: list[Any] = [venv]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    base = layers[-1]
    if isinstance(base, DummyVecEnv) and not has_protocol(base):
        layers += [layer for env in base.envs for layer in list_layers(env)]
    return layers


def _list_monitors(venv: VecEnv) -> list[Monitor[Any, Any] | VecMonitor]:
    return [layer for layer in _list_vec_layers(venv) if isinstance(layer, Monitor | VecMonitor)]


def _has_snapshot_workers(base: VecEnv) -> bool:
    return isinstance(base, SubprocVecEnv) and not has_protocol(base) and all(base.env_is_wrapped(SnapshotWrapper))
