"""Close environments, whatever they were interrupted in."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv


@contextmanager
def closing_environments(env: VecEnv) -> Iterator[VecEnv]:
    """
    Close environments at the end of the block.

    After an exception their processes are killed: a step that broke off has taken the answers of some and not of
    others, and ``SubprocVecEnv.close`` would wait for all of them, for ever.

    :param env: with its wrappers
    :return: the same
    """
    try:
        yield env
    except BaseException:
        if isinstance(env.unwrapped, SubprocVecEnv):
            _kill_workers(env.unwrapped)
        raise
    finally:
        env.close()


@contextmanager
def killing_new_processes() -> Iterator[None]:
    """Kill the processes that the block has started if it raises: half of a ``VecEnv`` cannot be closed."""
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()
                process.join()
        raise


def _kill_workers(env: SubprocVecEnv) -> None:
    for process in env.processes:
        process.kill()
        process.join()
    for remote in env.remotes:
        remote.close()
    env.closed = True
