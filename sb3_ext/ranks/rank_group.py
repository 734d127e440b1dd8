"""The ranks that train one model, and the messages between them."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from sb3_ext.errors import RankError, RankLostError
from sb3_ext.ranks.agreement import agree
from sb3_ext.ranks.placement import RankPlacement, read_placement

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_GLOO = "gloo"
_TIMEOUT_SECONDS = 1800.0
_JOIN_SECONDS = 300.0


class MissingBackendError(RankError):
    """A rank lacks gloo or NCCL. All ranks raise the same error."""


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
    :raises MissingBackendError: on all ranks, if one cannot exchange messages
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
        if not dist.is_available():
            raise RankError("training with several ranks needs torch.distributed, which this build of torch lacks")
        from torch.distributed.rendezvous import rendezvous  # cannot be imported without it

        try:
            store, _rank, _size = next(rendezvous("env://", timeout=timedelta(seconds=_JOIN_SECONDS)))
            agreement = agree(store, placement, _find_backend(placement, uses_gpus=uses_gpus), _JOIN_SECONDS)
            dist.init_process_group(
                _choose_common_backend(agreement.values),
                store=dist.PrefixStore(agreement.attempt, store),  # type: ignore[attr-defined]
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


def _find_backend(placement: RankPlacement, *, uses_gpus: bool) -> dict[str, str]:
    """:return: ``backend``, a name for ``init_process_group``; or ``problem``"""
    try:
        return {"backend": _choose_backend(placement, uses_gpus=uses_gpus)}
    except MissingBackendError as error:
        return {"problem": str(error)}


def _choose_common_backend(found: Sequence[Mapping[str, str]]) -> str:
    """
    :param found: of each rank, from :func:`_find_backend`
    :return: the name for all ranks: NCCL for tensors on GPUs if all can use it, and gloo otherwise
    :raises MissingBackendError: if a rank has neither
    """
    problems = {rank: answer["problem"] for rank, answer in enumerate(found) if "problem" in answer}
    if problems:
        rank, problem = next(iter(problems.items()))
        raise MissingBackendError(problem if len(problems) == len(found) else f"rank {rank}: {problem}")
    backends = {answer["backend"] for answer in found}
    return backends.pop() if len(backends) == 1 else _GLOO


def _choose_backend(placement: RankPlacement, *, uses_gpus: bool) -> str:
    if not dist.is_gloo_available():
        raise MissingBackendError("training with several ranks needs gloo, which this build of torch lacks")
    if not uses_gpus:
        return _GLOO
    if torch.cuda.device_count() < placement.local_size:
        logger.info(
            "ranks: gloo, since the %d ranks of this machine share %d GPUs",
            *(placement.local_size, torch.cuda.device_count()),
        )
        return _GLOO
    if not dist.is_nccl_available():
        raise MissingBackendError(
            "training with several ranks on GPUs needs NCCL, which this build of torch lacks; hide the GPUs with "
            "CUDA_VISIBLE_DEVICES="
        )
    return f"cpu:{_GLOO},cuda:nccl"


def _shorten(error: BaseException) -> str:
    """:return: the first sentence of an error of torch, without the place in its C++ code"""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return re.sub(r"^\[[^\]]*:\d+\] ", "", lines[0]).partition(". This is typically caused by")[0]
