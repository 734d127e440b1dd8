"""Collect the parts of all ranks for a checkpoint, which rank 0 writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sb3_ext.checkpoints.bundle.content import RankPart
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.errors import CheckpointError
from sb3_ext.ranks.rank_group import RankGroup

_SKIP, _COLLECT, _END = range(3)


@dataclass(frozen=True)
class PartRequest:
    """
    What rank 0 asks the other ranks for.

    :param replays: for each rank from 1 on, the index of the replay rows that are on the disk; empty for none
    """

    replays: Sequence[ReplayIndex | None]


class PartExchange:
    """
    Exchange parts of checkpoints at the start of each rollout, and after ``learn`` until rank 0 has ended.

    At the start of a rollout, rank 0 calls either :meth:`collect` or :meth:`skip`, and each other rank
    :meth:`answer`. After ``learn``, rank 0 calls :meth:`collect` any number of times and then :meth:`end`, and each
    other rank :meth:`answer_until_end`.

    :param group: the ranks
    """

    def __init__(self, group: RankGroup) -> None:
        self._group = group
        self._has_ended = False

    @property
    def is_connected(self) -> bool:
        """Whether the other ranks answer."""
        return not self._has_ended and self._group.is_usable

    def collect(self, replays: Sequence[ReplayIndex | None]) -> list[RankPart]:
        """
        Ask for the parts of all other ranks.

        :param replays: see :class:`PartRequest`
        :return: the parts, from rank 1 on
        :raises CheckpointError: if the ranks are not connected any more, or one cannot capture its part
        :raises RankLostError: if a rank ends meanwhile
        """
        if not self.is_connected:
            raise CheckpointError("the state of the other ranks can no longer be captured")
        self._announce(_COLLECT)
        self._group.share(PartRequest(replays))
        collected = self._group.collect(None)
        parts: list[RankPart] = []
        for rank, part in enumerate((collected or [])[1:], 1):
            if not isinstance(part, RankPart):
                raise CheckpointError(f"rank {rank}: {part}")
            parts.append(part)
        return parts

    def skip(self) -> None:
        """Tell the other ranks that no checkpoint is captured at the start of this rollout."""
        self._announce(_SKIP)

    def end(self) -> None:
        """Tell the other ranks that no checkpoint follows. A second call does nothing."""
        if self.is_connected:
            self._announce(_END)
        self._has_ended = True

    def answer(self, capture: Callable[[ReplayIndex | None], RankPart]) -> bool:
        """
        Receive the request of rank 0, and send the part of this rank if one is requested.

        :param capture: captures the part, of whose replay rows those of the index are on the disk
        :return: whether more requests follow after ``learn``
        :raises RankLostError: if a rank ends meanwhile
        """
        announced = self._announce(_SKIP)
        if announced == _COLLECT:
            request: PartRequest | None = self._group.share(None)
            assert request is not None, "rank 0 has announced it"
            replays, place = request.replays, self._group.rank - 1
            try:
                part: RankPart | str = capture(replays[place] if place < len(replays) else None)
            except CheckpointError as error:
                part = str(error)
            self._group.collect(part)
        return announced != _END

    def _announce(self, kind: int) -> int:
        """Send from rank 0 what follows; it is a small tensor, since most rollouts are not saved."""
        message = torch.tensor([kind])
        self._group.copy_from_leader(message)
        return int(message.item())

    def answer_until_end(self, capture: Callable[[ReplayIndex | None], RankPart]) -> None:
        """
        Answer all requests until rank 0 has ended.

        :param capture: see :meth:`answer`
        :raises RankLostError: if a rank ends meanwhile
        """
        while self.answer(capture):
            pass
