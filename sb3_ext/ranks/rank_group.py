"""The ranks that train one model, and the messages between them."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from sb3_ext.errors import RankError, RankLostError
from sb3_ext.ranks.placement import RankPlacement, read_placement

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_TIMEOUT_SECONDS = 1800.0
_JOIN_SECONDS = 300.0


class RankGroup:
    """
    The ranks that train one model: a ``torch.distributed`` process group with errors that say what happened.

    Every rank must call the same methods in the same order. In a script, started by ``torchrun``::

        with RankGroup.join() as group:
            env = make_vec_env("CartPole-v1", 4, seed=4 * group.rank)
            model = PPO("MlpPolicy", env, batch_size=64 // group.size)
            model.learn(100_000, callback=DataParallelCallback(group))

    A process without a launcher is a group of one rank, whose methods return at once.

    :param placement: the place of this process; ``None`` if it is alone
    :param uses_gpus: whether the tensors that are averaged are on GPUs, one for each rank
    :param timeout_seconds: how long to wait for a rank that is alive but sends nothing, for example while rank 0
        evaluates; a rank that has ended is noticed at once
    :raises RankError: if the ranks cannot connect to each other
    """

    def __init__(
        self,
        placement: RankPlacement | None,
        *,
        uses_gpus: bool = False,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self.placement = placement or RankPlacement(0, 1)
        self._is_usable = self._is_connected = False
        if placement is None or placement.size == 1:
            return
        backend = _choose_backend(placement, uses_gpus=uses_gpus)
        try:
            store, _rank, _size = next(rendezvous("env://", timeout=timedelta(seconds=_JOIN_SECONDS)))
            dist.init_process_group(
                backend,
                store=store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=timeout_seconds),
            )
        except (RuntimeError, ValueError) as error:  # DistNetworkError and DistStoreError are RuntimeErrors
            raise RankError(f"rank {self.rank} cannot connect to the other ranks: {_shorten(error)}") from error
        self._is_usable = self._is_connected = True

    @classmethod
    def join(cls, *, uses_gpus: bool = False, timeout_seconds: float = _TIMEOUT_SECONDS) -> RankGroup:
        """
        Connect to the other ranks that the launcher has started.

        :param uses_gpus: see :class:`RankGroup`
        :param timeout_seconds: see :class:`RankGroup`
        :return: the group; of this process alone if it was started without a launcher
        :raises RankError: if the ranks cannot connect to each other
        """
        return cls(read_placement(), uses_gpus=uses_gpus, timeout_seconds=timeout_seconds)

    @property
    def rank(self) -> int:
        """Index of this process, from 0."""
        return self.placement.rank

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.placement.size

    @property
    def is_leader(self) -> bool:
        """Whether this is rank 0, which writes files, evaluates and logs."""
        return self.rank == 0

    @property
    def is_usable(self) -> bool:
        """Whether messages can be exchanged; not after a rank was lost, or after :meth:`abandon`."""
        return self.size == 1 or self._is_usable

    def sum(self, tensor: torch.Tensor) -> None:
        """
        Replace a tensor by its sum over all ranks, which has the same bits on all of them.

        :param tensor: of the same shape and type on all ranks
        :raises RankLostError: if a rank has ended
        """
        self._exchange(lambda: dist.all_reduce(tensor))

    def copy_from_leader(self, tensor: torch.Tensor) -> None:
        """
        Replace a tensor by that of rank 0.

        :param tensor: of the same shape and type on all ranks
        :raises RankLostError: if a rank has ended
        """
        self._exchange(lambda: dist.broadcast(tensor, 0))

    def share(self, value: Value) -> Value:
        """
        Send an object from rank 0 to the others.

        :param value: anything that can be pickled; that of other ranks is ignored
        :return: the object of rank 0
        :raises RankLostError: if a rank has ended
        """
        values: list[Any] = [value]
        self._exchange(lambda: dist.broadcast_object_list(values, 0))
        return values[0]  # type: ignore[no-any-return]

    def gather(self, value: Value) -> list[Value]:
        """
        Exchange an object among all ranks.

        :param value: anything that can be pickled
        :return: the objects of all ranks, by rank
        :raises RankLostError: if a rank has ended
        """
        values: list[Any] = [value] * self.size
        self._exchange(lambda: dist.all_gather_object(values, value))
        return values

    def collect(self, value: Value) -> list[Value] | None:
        """
        Send an object from every rank to rank 0.

        :param value: anything that can be pickled
        :return: on rank 0, the objects of all ranks, by rank; ``None`` on others
        :raises RankLostError: if a rank has ended
        """
        values: list[Any] | None = [value] * self.size if self.is_leader else None
        self._exchange(lambda: dist.gather_object(value, values))
        return values

    def abandon(self) -> None:
        """Exchange nothing from now on, after an error: the other ranks may be anywhere in the training."""
        self._is_usable = False

    def leave(self) -> None:
        """Disconnect. A second call does nothing."""
        if not self._is_connected:
            return
        self._is_connected = False
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()

    def __enter__(self) -> RankGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def _exchange(self, job: Callable[[], Any]) -> None:
        if self.size == 1:
            return
        if not self._is_usable:
            raise RankLostError("the ranks are no longer connected")
        try:
            job()
        except RuntimeError as error:  # of gloo, or NCCL's DistBackendError
            self._is_usable = False
            raise RankLostError(
                f"rank {self.rank} has lost the connection to another rank: {_shorten(error)}"
            ) from error


def _choose_backend(placement: RankPlacement, *, uses_gpus: bool) -> str:
    """:return: name for ``init_process_group``: gloo for messages and tensors on CPUs, NCCL for tensors on GPUs"""
    if not dist.is_available() or not dist.is_gloo_available():
        raise RankError("training with several ranks needs gloo, which this build of torch lacks; install another one")
    if not uses_gpus:
        return "gloo"
    if torch.cuda.device_count() < placement.local_size:
        logger.info(
            "ranks: gloo, since the %d ranks of this machine share %d GPUs",
            *(placement.local_size, torch.cuda.device_count()),
        )
        return "gloo"
    if not dist.is_nccl_available():
        raise RankError("training with several ranks on GPUs needs NCCL, which this build of torch lacks; use a CPU")
    return "cpu:gloo,cuda:nccl"


def _shorten(error: BaseException) -> str:
    """:return: the first line of an error of torch, without the place in its C++ code"""
    lines = str(error).strip().splitlines()
    return re.sub(r"^\[[^\]]*:\d+\] ", "", lines[0]) if lines else type(error).__name__
