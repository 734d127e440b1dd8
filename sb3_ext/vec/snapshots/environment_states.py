"""The state of Gymnasium environments, however they are divided over processes."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from sb3_ext.vec.global_random import GlobalRandomState
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError


@dataclass(frozen=True)
class EnvironmentStates:
    """
    The states of the environments of a ``VecEnv``, by their index. Another kind of ``VecEnv``, with more or fewer
    processes, can restore them.

    :param layers: the state of each environment, from :func:`sb3_ext.vec.snapshots.layer_snapshots.freeze`
    :param generators: global random number generators of the processes that step the environments; empty if that is
        the training process, whose generators a checkpoint saves on its own
    :param reset_infos: info of each environment's last reset
    """

    layers: tuple[bytes, ...]
    generators: tuple[GlobalRandomState, ...]
    reset_infos: tuple[dict[str, Any], ...]

    def validate_count(self, num_envs: int) -> None:
        """
        Check the number of environments.

        :param num_envs: number of environments to restore
        :raises SnapshotError: if the states are those of more or fewer environments
        """
        if len(self.layers) != num_envs:
            raise SnapshotError(f"the snapshot is of {len(self.layers)} environments, but there are {num_envs}")


@runtime_checkable
class SupportsEnvironmentStates(Protocol):
    """A ``VecEnv`` that steps Gymnasium environments in other processes, and saves them one by one."""

    def get_environment_states(self) -> EnvironmentStates:
        """
        Save all environments.

        :return: their states
        :raises SnapshotError: if the state of one cannot be saved
        """

    def set_environment_states(self, states: EnvironmentStates) -> bool:
        """
        Restore all environments.

        :param states: states of as many environments
        :return: whether the global generators were restored, too; not if the number of processes differs
        :raises SnapshotError: if a state does not fit its environment
        """


def read_worker_snapshots(snapshots: Sequence[bytes]) -> EnvironmentStates:
    """
    Read snapshots of environments that have a process each.

    :param snapshots: pickled pairs of layers and generators, one for each environment
    :return: the states
    """
    pairs = [pickle.loads(snapshot) for snapshot in snapshots]
    layers, generators = (tuple(pair[position] for pair in pairs) for position in (0, 1))
    return EnvironmentStates(layers, generators, tuple({} for _ in pairs))
