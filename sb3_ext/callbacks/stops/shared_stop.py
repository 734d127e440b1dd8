"""Stop all ranks together when one of them has a reason."""

from __future__ import annotations

import torch

from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.ranks.rank_group import RankGroup


class SharedStopCallback(StopCallback):
    """
    Stop all ranks between two rollouts if a :class:`~sb3_ext.callbacks.StopCallback` of one rank has a reason: a
    signal, NaN, a bound, an evaluation that only rank 0 makes. All ranks then have the reason of the first such rank.

    Put it after the other stop callbacks, and before :class:`~sb3_ext.callbacks.RunCheckpointCallback`.

    :param group: the ranks
    """

    def __init__(self, group: RankGroup) -> None:
        super().__init__(at_boundary=True)
        self._group = group
        self._shared_reason: str | None = None
        self._shared_detail: str | None = None

    def find_reason_between_rollouts(self) -> str | None:
        """
        Exchange the reasons of all ranks. All ranks must call this together.

        :return: the reason, the same on all ranks; ``None`` to continue
        """
        if self._group.size > 1 and self._shared_reason is None:
            self._exchange()
        return super().find_reason_between_rollouts()

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._shared_reason = self._shared_detail = None
        called = list_callbacks(self.locals.get("callback", self))
        self._others = [item for item in called if isinstance(item, StopCallback) and item is not self]

    def _exchange(self) -> None:
        own = next((stop for stop in self._others if stop.stop_reason is not None), None)
        count = torch.tensor([float(own is not None)])
        self._group.sum(count)
        if count.item() > 0:
            found = self._group.gather(None if own is None else (own.stop_reason, own.stop_detail))
            self._shared_reason, self._shared_detail = next(reason for reason in found if reason is not None)

    def _find_stop_reason(self) -> str | None:
        return self._shared_reason

    def _explain_stop(self) -> str:
        return self._shared_detail or ""
