"""Add snapshots of the agent to a pool of opponents."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.checkpoint import RunCheckpointCallback
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.errors import CheckpointError, Sb3ExtError
from sb3_ext.internals.sb3 import reset_environments
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.selfplay.pool.pool import OpponentPool
from sb3_ext.selfplay.pool.pool_exchange import PoolExchange
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.triggers import EveryEpisodes

logger = logging.getLogger(__name__)


class OpponentPoolCallback(LightCallback):
    """
    Add snapshots of the agent to the :class:`~sb3_ext.selfplay.OpponentPool` of its environments.

    Snapshots are taken at the end of a rollout, before the update. The scores of the last 100 games are logged as
    ``selfplay/…``: against each heuristic, the agent itself and past selves. With a
    :class:`~sb3_ext.callbacks.RunCheckpointCallback`, a resumed training plays the same opponents.

    With several ranks, the pools of all ranks have the same directory, rank 0 writes the snapshots, and the games of
    all ranks count.

    :param group: the ranks that train the model; ``None`` for this process alone
    :raises Sb3ExtError: when training starts, if the environments have no pool
    """

    state_key = "opponent_pool"

    def __init__(self, group: RankGroup | None = None) -> None:
        super().__init__()
        self._group = group
        self._exchange: PoolExchange | None = None
        self._checkpoints: RunCheckpointCallback | None = None

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        The state of the environments includes the pool, too, but the state of some games cannot be captured.
        """
        return {**super().state_dict(), "pool": self.pool.get_record()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Snapshots that were taken later are removed."""
        super().load_state_dict(state)
        self.pool.load_record(state["pool"])
        self._trigger.skip_to(self.pool.episodes)

    def _init_callback(self) -> None:
        seat = self.training_env.unwrapped
        pool = getattr(seat, "sampler", None)
        if not isinstance(seat, SelfPlayVecEnv) or not isinstance(pool, OpponentPool):
            found = type(pool or seat).__name__
            raise Sb3ExtError(
                f"OpponentPoolCallback needs a pool: expected SelfPlayVecEnv(game, OpponentPool(…)), found {found}"
            )
        self.pool, self._seat = pool, seat
        self._trigger = EveryEpisodes(pool.settings.save_every)
        if self._group is not None and self._group.size > 1:
            self._exchange = PoolExchange(pool, self._group)
        if pool.attach(self.model):
            # SB3 reset the environments before the model was added to the pool.
            reset_environments(self.model)

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._trigger.skip_to(self.pool.episodes)
        called = list_callbacks(self.locals.get("callback", self))
        self._checkpoints = next((other for other in called if isinstance(other, RunCheckpointCallback)), None)

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        in_play = set(self._seat.get_opponent_names())
        if self._exchange is not None:
            in_play = self._exchange.share_games(in_play)
        if not self._trigger.is_due(self.pool.episodes):
            return
        if self._group is None or self._group.is_leader:
            self._add_snapshot(in_play)
        if self._exchange is not None:
            self._exchange.copy_members()
        for group, score in self.pool.compute_recent_scores().items():
            self.logger.record(f"selfplay/score_{group}", score)
        self.logger.record("selfplay/snapshots", len(self.pool.members))

    def _add_snapshot(self, in_play: Collection[str]) -> None:
        try:
            self.pool.add(self.model)
        except CheckpointError as error:
            logger.warning("%s; this snapshot is left out of the pool", error)
        self.pool.note_games(in_play, self.model.num_timesteps)
        self.pool.remove_unneeded(self._list_kept_steps())

    def _list_kept_steps(self) -> list[int]:
        if self._checkpoints is None:
            return [self.model.num_timesteps]
        return self._checkpoints.list_kept_steps()
