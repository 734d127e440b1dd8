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

    After an exception their processes are killed: an interrupted step has received the results of some of them only,
    and ``SubprocVecEnv.close`` would wait for the others for ever.

    :param env: environments with their wrappers
    :return: the same environments
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
    """Kill the processes that the block started if it raises: an incomplete ``VecEnv`` cannot be closed."""
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()
                process.join()
        raise
