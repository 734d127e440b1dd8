"""A least-recently-used cache of a pool's frozen policies."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.errors import CheckpointError
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent, copy_policy
from sb3_ext.selfplay.pool.snapshot_store import SnapshotStore


class FrozenPolicies:
    """
    Loads the snapshots of a pool on first use and drops the least recently used ones from memory.

    :param store: the snapshots on disk
    :param most: maximum number of policies in memory
    :param generator: random generator shared by all of them
    :param deterministic: always play the best move
    """

    def __init__(
        self, store: SnapshotStore, most: int, generator: np.random.Generator, *, deterministic: bool = False
    ) -> None:
        self._deterministic = deterministic
        self._store = store
        self._most = most
        self._generator = generator
        self._loaded: OrderedDict[str, PolicyOpponent] = OrderedDict()

    def find(self, name: str, learner: BaseAlgorithm) -> PolicyOpponent:
        """
        :param name: name of a snapshot
        :param learner: a model with a policy of the same architecture
        :return: the opponent
        :raises CheckpointError: if the snapshot is damaged or has another architecture
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        snapshot = self._store.open(name)
        policy = copy_policy(learner.policy)
        try:
            policy.load_state_dict(snapshot.read_weights())
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"opponent {snapshot.path} does not fit the model: {reason}") from error
        normalize = make_normalize(snapshot.read_normalization())
        opponent = PolicyOpponent(policy, name, self._generator, deterministic=self._deterministic, normalize=normalize)
        self._loaded[name] = opponent
        if len(self._loaded) > self._most:
            self._loaded.popitem(last=False)
        return opponent

    def forget(self) -> None:
        """Empty the cache: the files may have changed."""
        self._loaded.clear()
