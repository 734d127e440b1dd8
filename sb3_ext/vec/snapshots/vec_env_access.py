"""
Access the state, the episode files and the processes of a ``VecEnv``, by methods that it may have: those of
:class:`~sb3_ext.stateful.Stateful`, :class:`~sb3_ext.vec.snapshots.environment_states.SupportsEnvironmentStates`,
:class:`SupportsMonitorFiles` and :class:`SupportsKill`. SB3's own classes have none of them; this module has what they
lack.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sb3_ext.vec.monitor_files import MonitorFile
from sb3_ext.vec.snapshots.environment_states import (
    EnvironmentStates,
    SupportsEnvironmentStates,
    read_worker_snapshots,
)
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, has_protocol, list_layers, thaw
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
        return self.has_states or has_protocol(self.env)

    @property
    def has_states(self) -> bool:
        """Whether the environments are saved one by one."""
        return isinstance(self.env, SupportsEnvironmentStates)

    def get_states(self) -> EnvironmentStates:
        """
        Save environments one by one, where :attr:`has_states` is true.

        :return: their states
        :raises SnapshotError: if the state of one cannot be saved
        """
        states: EnvironmentStates = self.env.get_environment_states()
        return states

    def set_states(self, states: EnvironmentStates) -> bool:
        """
        Restore environments one by one, where :attr:`has_states` is true.

        :param states: states, perhaps from another kind of ``VecEnv``
        :return: whether the global generators that the environments share were restored, too
        :raises SnapshotError: if they do not fit these environments
        """
        states.validate_count(self.env.num_envs)
        return bool(self.env.set_environment_states(states))

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

    @property
    def has_states(self) -> bool:
        return not has_protocol(self.env)

    def get_states(self) -> EnvironmentStates:
        layers = tuple(freeze(list_layers(env)) for env in self.env.envs)
        return EnvironmentStates(layers, (), tuple(self.env.reset_infos))

    def set_states(self, states: EnvironmentStates) -> bool:
        states.validate_count(self.env.num_envs)
        for env, layers in zip(self.env.envs, states.layers, strict=True):
            thaw(list_layers(env), layers)
        self.env.reset_infos = list(states.reset_infos)
        return not states.generators


class _SubprocAccess(VecEnvAccess):
    """The environments of a ``SubprocVecEnv`` can be saved where a ``SnapshotWrapper`` is around each."""

    remedy = "wrap its environments in SnapshotWrapper"

    @property
    def has_states(self) -> bool:
        return self._is_wrapped()

    def get_states(self) -> EnvironmentStates:
        snapshots = self.env.env_method("get_worker_snapshot")
        for snapshot, reason in snapshots:
            if snapshot is None:
                raise SnapshotError(reason)
        states = read_worker_snapshots([snapshot for snapshot, _ in snapshots])
        return replace(states, reset_infos=tuple(self.env.reset_infos))

    def set_states(self, states: EnvironmentStates) -> bool:
        states.validate_count(self.env.num_envs)
        has_generators: bool = len(states.generators) == self.env.num_envs
        for index, layers in enumerate(states.layers):
            snapshot = pickle.dumps((layers, states.generators[index] if has_generators else None))
            (reason,) = self.env.env_method("set_worker_snapshot", snapshot, indices=index)
            if reason:
                raise SnapshotError(f"environment {index}: {reason}")
        self.env.reset_infos = list(states.reset_infos)
        return has_generators

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
        return not has_protocol(self.env) and all(self.env.env_is_wrapped(SnapshotWrapper))


_STOCK: dict[type[VecEnv], type[VecEnvAccess]] = {DummyVecEnv: _DummyAccess, SubprocVecEnv: _SubprocAccess}


def get_access(venv: VecEnv) -> VecEnvAccess:
    """
    :param venv: with its wrappers
    :return: access to the environments inside
    """
    base = venv.unwrapped
    fitting = (access for kind, access in _STOCK.items() if isinstance(base, kind))
    return next(fitting, VecEnvAccess)(base)
