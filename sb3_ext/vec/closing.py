"""Close environments, also after an exception in the midst of a step."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.vec.snapshots.vec_env_access import get_access


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
        get_access(env).kill()
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
