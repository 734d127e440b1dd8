"""
Access the state, the episode files and the processes of a ``VecEnv``, by methods that it may have: those of
:class:`~sb3_ext.stateful.Stateful`, :class:`SupportsMonitorFiles` and
:class:`SupportsKill`. SB3's own classes have none of them; this module has what they lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sb3_ext.vec.monitor_files import MonitorFile
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, has_protocol, list_layers
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper


@runtime_checkable
class SupportsMonitorFiles(Protocol):
    """What a ``VecEnv`` has whose environments write ``Monitor`` files in other processes."""

    def get_monitor_files(self) -> list[MonitorFile | None]:
        """
        :return: of each environment's ``Monitor``, ``None`` if it writes none
        """

    def cut_monitor_files(self, sizes_bytes: Sequence[int | None]) -> None:
        """
        :param sizes_bytes: of each environment's file, see :func:`sb3_ext.vec.monitor_files.cut_monitor_file`; ``None``
            leaves one alone
        """


@runtime_checkable
class SupportsKill(Protocol):
    """What a ``VecEnv`` has whose ``close()`` may wait for ever after an exception."""

    def kill(self) -> None:
        """End its processes at once, whatever they do; ``close()`` is called next."""


@runtime_checkable
class SupportsSubprocSnapshot(Protocol):
    """What a ``VecEnv`` has that can restore what SB3's ``SubprocVecEnv`` has saved."""

    def set_subproc_snapshot(self, workers: list[bytes]) -> None:
        """
        :param workers: of each environment, what :meth:`SnapshotWrapper.get_worker_snapshot
            <sb3_ext.vec.snapshots.snapshot_wrapper.SnapshotWrapper.get_worker_snapshot>` gave
        :raises SnapshotError: if they do not fit
        """


class VecEnvAccess:
    """
    Reach the environments of a ``VecEnv`` by its own methods.

    :param env: without wrappers
    """

    remedy = "give it state_dict() and load_state_dict(state)"
    """What makes a ``VecEnv`` of this kind one that can be saved."""

    def __init__(self, env: VecEnv) -> None:
        self.env: Any = env

    @property
    def can_be_saved(self) -> bool:
        """Whether the state of all environments can be reached."""
        return has_protocol(self.env)

    def list_layers(self) -> list[Any]:
        """:return: the ``VecEnv``, and the layers of the environments that are in this process"""
        return [self.env]

    def get_worker_snapshots(self) -> list[bytes]:
        """
        :return: of each environment behind a ``SnapshotWrapper`` in another process
        :raises SnapshotError: if the state of one cannot be taken
        """
        return []

    def validate_worker_snapshots(self, workers: list[bytes]) -> None:
        """
        :param workers: from :meth:`get_worker_snapshots`, perhaps of another kind of ``VecEnv``
        :raises SnapshotError: if they cannot be put into these environments
        """
        can_restore = isinstance(self.env, SupportsSubprocSnapshot)
        if workers and not (can_restore and self.env.num_envs == len(workers)):
            raise _explain_workers(workers)

    def set_worker_snapshots(self, workers: list[bytes]) -> None:
        """
        :param workers: that are valid
        :raises SnapshotError: if the state of one does not fit
        """
        if workers:
            self.env.set_subproc_snapshot(workers)

    def get_monitor_files(self) -> list[MonitorFile | None]:
        """:return: of each environment in another process, ``None`` if it writes none"""
        return self.env.get_monitor_files() if isinstance(self.env, SupportsMonitorFiles) else []

    def cut_monitor_files(self, sizes_bytes: Sequence[int | None]) -> None:
        """
        :param sizes_bytes: in the order of :meth:`get_monitor_files`; ``None`` leaves a file alone
        """
        if isinstance(self.env, SupportsMonitorFiles):
            self.env.cut_monitor_files(sizes_bytes)

    def kill(self) -> None:
        """End processes at once that ``close()`` would wait for."""
        if isinstance(self.env, SupportsKill):
            self.env.kill()


class _DummyAccess(VecEnvAccess):
    """The environments of a ``DummyVecEnv`` are in this process."""

    can_be_saved = True

    def list_layers(self) -> list[Any]:
        if has_protocol(self.env):
            return [self.env]
        return [self.env, *(layer for env in self.env.envs for layer in list_layers(env))]


class _SubprocAccess(VecEnvAccess):
    """The environments of a ``SubprocVecEnv`` can be saved where a ``SnapshotWrapper`` is around each."""

    remedy = "wrap its environments in SnapshotWrapper"

    @property
    def can_be_saved(self) -> bool:
        return super().can_be_saved or self._is_wrapped()

    def get_worker_snapshots(self) -> list[bytes]:
        if super().can_be_saved:
            return []
        snapshots = self.env.env_method("get_worker_snapshot")
        for snapshot, reason in snapshots:
            if snapshot is None:
                raise SnapshotError(reason)
        return [snapshot for snapshot, _ in snapshots]

    def validate_worker_snapshots(self, workers: list[bytes]) -> None:
        if workers and not (self.env.num_envs == len(workers) and self._is_wrapped()):
            raise _explain_workers(workers)

    def set_worker_snapshots(self, workers: list[bytes]) -> None:
        for index, worker in enumerate(workers):
            (reason,) = self.env.env_method("set_worker_snapshot", worker, indices=index)
            if reason:
                raise SnapshotError(f"environment {index}: {reason}")

    def get_monitor_files(self) -> list[MonitorFile | None]:
        return self.env.env_method("get_monitor_file") if self._is_wrapped() else []

    def cut_monitor_files(self, sizes_bytes: Sequence[int | None]) -> None:
        if not self._is_wrapped():
            return
        for index, size_bytes in enumerate(sizes_bytes):
            if size_bytes is not None:
                self.env.env_method("cut_monitor_file", size_bytes, indices=index)

    def kill(self) -> None:
        for process in self.env.processes:
            process.kill()
            process.join()
        for remote in self.env.remotes:
            remote.close()
        self.env.closed = True

    def _is_wrapped(self) -> bool:
        return not super().can_be_saved and all(self.env.env_is_wrapped(SnapshotWrapper))


def _explain_workers(workers: list[bytes]) -> SnapshotError:
    return SnapshotError(f"the snapshot is of {len(workers)} environments in SnapshotWrapper, each in its own process")


_STOCK: dict[type[VecEnv], type[VecEnvAccess]] = {DummyVecEnv: _DummyAccess, SubprocVecEnv: _SubprocAccess}


def get_access(venv: VecEnv) -> VecEnvAccess:
    """
    :param venv: with its wrappers
    :return: access to the environments inside
    """
    base = venv.unwrapped
    fitting = (access for kind, access in _STOCK.items() if isinstance(base, kind))
    return next(fitting, VecEnvAccess)(base)
