"""Keep the pools of several ranks equal, as if all games were played in one process."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.selfplay.pool.pool import OpponentPool


class PoolExchange:
    """
    Exchange games and snapshots between the pools of all ranks, which have the same directory.

    Rank 0 alone adds and removes snapshots. Each rank draws its own opponents from them.

    :param pool: the pool of this rank
    :param group: the ranks
    """

    def __init__(self, pool: OpponentPool, group: RankGroup) -> None:
        self._pool = pool
        self._group = group
        pool.unshared_games = []

    def share_games(self, in_play: Collection[str]) -> set[str]:
        """
        Record the games of all ranks since the last call. All ranks must call this together.

        :param in_play: names of the opponents in running games of this rank
        :return: the same of all ranks
        :raises RankLostError: if a rank has ended
        """
        found = self._group.gather((self._pool.unshared_games or [], set(in_play)))
        for rank, (games, _) in enumerate(found):
            if rank != self._group.rank and games:
                names, returns = zip(*games, strict=True)
                self._pool.record(names, np.array(returns, np.float32))
        self._pool.unshared_games = []
        return set().union(*(names for _, names in found))

    def copy_members(self) -> None:
        """
        Take over the snapshots of rank 0. All ranks must call this together.

        :raises RankLostError: if a rank has ended
        """
        record = self._group.share(self._pool.get_record())
        if not self._group.is_leader:
            self._pool.copy_members(record)
