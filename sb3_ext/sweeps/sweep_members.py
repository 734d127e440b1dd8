"""Train the runs of a sweep, some at a time, until each has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sb3_ext.errors import RunError
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.launching.task_pool import TaskPool
from sb3_ext.sweeps.sweep import Sweep

MEMBER_MODULE = "sb3_ext.cli.sweep_member"
_MAX_INTERRUPTIONS = 3


@dataclass(frozen=True)
class MemberEnd:
    """
    The end of a process that trained a run of a sweep.

    :param seed: seed of the run
    :param end: how it ended
    :param is_resumed: whether it was interrupted and is trained further at once
    """

    seed: int
    end: TaskEnd
    is_resumed: bool


class SweepMembers:
    """
    Train the runs of a sweep.

    A run whose process is killed, or interrupted by a scheduler, is resumed; not if that happened three times without a
    new checkpoint.

    :param sweep: the sweep
    :param seeds: seeds of the runs to train
    :param launcher: starts their processes
    :param arguments: arguments of ``sb3-ext train`` that all runs have in common
    """

    def __init__(self, sweep: Sweep, seeds: Sequence[int], launcher: Launcher, arguments: Sequence[str]) -> None:
        self._sweep = sweep
        self._pool = TaskPool(launcher)
        self._seeds = {self._make_task(seed, arguments): seed for seed in seeds}
        self._interruptions: dict[int, tuple[str | None, int]] = {}
        self._is_stopping = False
        for task in self._seeds:
            self._pool.add(task)

    def check(self) -> list[MemberEnd]:
        """
        Start processes where there is room, and resume runs that were interrupted.

        :return: the processes that have ended since the last call
        :raises LaunchError: if the launcher refuses a process while no other runs
        """
        return [self._judge(end) for end in self._pool.check()]

    @property
    def is_done(self) -> bool:
        """Whether all processes have ended."""
        return self._pool.is_done

    def stop(self) -> None:
        """Start no more runs, and ask those that train to save and end."""
        self._is_stopping = True
        self._pool.stop()

    def kill(self) -> None:
        """End all processes at once; their runs continue from the last checkpoint next time."""
        self._pool.kill()

    def _judge(self, end: TaskEnd) -> MemberEnd:
        seed = self._seeds[end.task]
        is_resumed = end.is_interrupted and not self._is_stopping and self._count_interruption(seed)
        if is_resumed:
            self._pool.add(end.task)
        return MemberEnd(seed, end, is_resumed)

    def _count_interruption(self, seed: int) -> bool:
        """:return: whether the run should be resumed"""
        checkpoint = self._find_last_checkpoint(seed)
        known, count = self._interruptions.get(seed, (None, 0))
        count = count + 1 if known == checkpoint else 1
        self._interruptions[seed] = checkpoint, count
        return count < _MAX_INTERRUPTIONS

    def _find_last_checkpoint(self, seed: int) -> str | None:
        try:
            member = self._sweep.find_member(seed)
            return None if member is None else member.record.last_checkpoint
        except RunError:
            return None

    def _make_task(self, seed: int, arguments: Sequence[str]) -> Task:
        directory = self._sweep.get_directory(seed)
        own = ["--seed", str(seed), "--run-dir", str(directory), "--resume"]
        return Task(
            name=f"seed_{seed}",
            arguments=("-m", MEMBER_MODULE, str(directory), "train", *arguments, *own),
            log=self._sweep.get_log(seed).absolute(),
        )
