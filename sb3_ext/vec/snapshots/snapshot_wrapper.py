"""Save and restore an environment inside its worker process, for SB3's ``SubprocVecEnv``."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
from stable_baselines3.common.monitor import Monitor

from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state
from sb3_ext.vec.monitor_files import MonitorFile, cut_monitor_file, get_monitor_file, tolerate_full_disk
from sb3_ext.vec.process_lifetime import prepare_worker_process
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, list_layers, thaw


class SnapshotWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Save and restore an environment in a worker process on request of the training process, with the worker's global
    random number generators. The outermost wrapper in ``env_fn``::

        make_vec_env("CartPole-v1", 4, vec_env_cls=SubprocVecEnv, wrapper_class=SnapshotWrapper)

    Without it such a run resumes approximately: with new episodes. The worker ignores Ctrl+C and ends with its parent.
    An exception would end the worker, so these methods return a message instead.

    :param env: the environment with all its other wrappers
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        prepare_worker_process()
        tolerate_full_disk(self._find_monitor())

    def get_worker_snapshot(self) -> tuple[bytes | None, str]:
        """
        :return: the state of the environment and of this process's generators, or ``None`` and why it cannot be saved
        """
        try:
            return pickle.dumps((freeze(list_layers(self)), get_global_random_state())), ""
        except SnapshotError as error:
            return None, str(error)

    def set_worker_snapshot(self, snapshot: bytes) -> str:
        """
        :param snapshot: from :meth:`get_worker_snapshot`, perhaps of another process, or with ``None`` instead of the
            generators, which stay as they are
        :return: why it does not fit this environment; empty if it does
        """
        layers, random_state = pickle.loads(snapshot)
        try:
            thaw(list_layers(self), layers)
        except SnapshotError as error:
            return str(error)
        if random_state is not None:
            set_global_random_state(random_state)
        return ""

    def get_monitor_file(self) -> MonitorFile | None:
        """
        :return: the file of the environment's ``Monitor``, ``None`` if it writes none
        """
        monitor = self._find_monitor()
        return None if monitor is None else get_monitor_file(monitor)

    def cut_monitor_file(self, size_bytes: int) -> MonitorFile | None:
        """
        Remove later episodes from the file: see :func:`sb3_ext.vec.monitor_files.cut_monitor_file`.

        :param size_bytes: the file's size at the checkpoint
        :return: the file as it is now, ``None`` if ``Monitor`` writes none
        """
        monitor = self._find_monitor()
        return None if monitor is None else cut_monitor_file(monitor, size_bytes)

    def _find_monitor(self) -> Monitor[Any, Any] | None:
        return next((layer for layer in list_layers(self) if isinstance(layer, Monitor)), None)
