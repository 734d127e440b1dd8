"""Test on a temporary copy whether an environment resumes exactly."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state
from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, list_layers, thaw
from sb3_ext.vec.snapshots.vec_env_access import get_access
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

FAILED = "the environment failed in the self-test: "
"""Beginning of a reason; an error follows, as ``repr`` shows it."""

_WALKS = 3  # before the snapshot, after it, and again from the restored snapshot


@dataclass(frozen=True)
class Exactness:
    """
    :param exact: whether a restored environment continues exactly as the original
    :param reason: one line for messages
    :param uses_global_random: whether environments may draw from the global random number generators of their process;
        if so, a resume is exact only with the same environments in each process
    """

    exact: bool
    reason: str
    uses_global_random: bool = True


def self_test(
    env_fn: Callable[[], gymnasium.Env[Any, Any] | VecEnv],
    steps: int = 50,
    seed: int = 0,
    max_bytes: int = 64 * 2**20,
    max_seconds: float = 10.0,
    interruption: Interruption = NEVER,
) -> Exactness:
    """
    Step an environment, take a snapshot and step further; restore it in a new environment and repeat the same steps.

    The global random number generators are restored at the end.

    :param env_fn: makes an environment with its wrappers, or a ``VecEnv``; is called twice, so its ``Monitor`` must not
        write a file
    :param steps: environment steps to compare, half of them after another reset
    :param seed: of the first reset and of the random actions
    :param max_bytes: a larger snapshot counts as not exact: at every checkpoint it would cost more than a reset
    :param max_seconds: about the longest time for all steps; a slow environment takes fewer
    :param interruption: checked before each step
    :return: exact if every observation, reward and end of an episode was the same
    :raises StopRequested: if ``interruption`` says so
    """
    random_state = get_global_random_state()
    original, restored = env_fn(), env_fn()
    kind = _VEC_ENV if isinstance(original, VecEnv) else _GYMNASIUM
    try:
        kind.begin(original, seed)
        walk_seconds = max_seconds / _WALKS
        generators = _get_generators(original)
        _take(interruption.watch(kind.walk(original, steps, seed)), walk_seconds)
        uses_global_random = _get_generators(original) != generators
        snapshot, snapshot_random_state = kind.freeze(original), get_global_random_state()
        if len(snapshot) > max_bytes:
            return Exactness(False, _explain_size(len(snapshot), max_bytes))
        expected = _take(interruption.watch(kind.walk(original, steps, seed + 1)), walk_seconds)
        kind.thaw(restored, snapshot)
        set_global_random_state(snapshot_random_state)
        found = _compare(interruption.watch(kind.walk(restored, steps, seed + 1)), expected)
        return replace(found, uses_global_random=uses_global_random)
    except SnapshotError as error:
        return Exactness(False, str(error))
    except Exception as error:  # the user's environment may raise anything; training reports it
        return Exactness(False, f"{FAILED}{error!r}")
    finally:
        set_global_random_state(random_state)
        original.close()
        restored.close()


def _get_generators(env: gymnasium.Env[Any, Any] | VecEnv) -> bytes:
    """:return: the state of the global generators of this process, and of those that step the environments"""
    access = get_access(env) if isinstance(env, VecEnv) else None
    others = access.get_states().generators if access is not None and access.has_states else ()
    return pickle.dumps((get_global_random_state(), others))


def _take(walk: Iterator[tuple[Any, ...]], seconds: float) -> list[tuple[Any, ...]]:
    """:return: the results of as many steps as the time allows, at least one"""
    until = time.monotonic() + seconds
    results = []
    for result in walk:
        results.append(result)
        if time.monotonic() >= until:
            break
    return results


@dataclass(frozen=True)
class _Kind:
    """Operations on a Gymnasium environment, or on a ``VecEnv``."""

    begin: Callable[[Any, int], object]
    walk: Callable[[Any, int, int], Iterator[tuple[Any, ...]]]
    freeze: Callable[[Any], bytes]
    thaw: Callable[[Any, bytes], object]


def _compare(walk: Iterator[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> Exactness:
    for step, wanted in enumerate(expected):
        try:
            found = next(walk)
        except Exception as error:  # an incompletely restored environment may raise anything
            return Exactness(False, f"the environment failed {step} steps after it was restored: {error!r}")
        if not _is_same(found, wanted):
            return Exactness(False, f"the environment diverged {step} steps after it was restored")
    return Exactness(True, f"{len(expected)} steps after a restored snapshot were identical")


def _walk(env: gymnasium.Env[Any, Any], steps: int, seed: int) -> Iterator[tuple[Any, ...]]:
    actions = copy.deepcopy(env.action_space)
    actions.seed(seed)
    for step in range(steps):
        result = env.step(choose_action(env, actions))[:4]
        yield result
        if result[2] or result[3] or step == steps // 2:
            yield env.reset()[:1]


def _walk_vec_env(env: VecEnv, steps: int, seed: int) -> Iterator[tuple[Any, ...]]:
    actions = copy.deepcopy(env.action_space)
    actions.seed(seed)
    for step in range(steps):
        yield env.step(_choose_actions(env, actions))[:3]
        if step == steps // 2:
            yield (env.reset(),)


def _choose_actions(env: VecEnv, actions: spaces.Space[Any]) -> NDArray[Any]:
    if isinstance(actions, spaces.Discrete) and env.has_attr("action_masks"):
        masks = env.env_method("action_masks")
        return np.array([actions.sample(np.asarray(mask, dtype=np.int8)) for mask in masks])
    return np.array([actions.sample() for _ in range(env.num_envs)])


def _begin_vec_env(env: VecEnv, seed: int) -> None:
    env.seed(seed)
    env.reset()


def choose_action(env: gymnasium.Env[Any, Any], actions: spaces.Space[Any]) -> Any:
    """
    :param env: an environment, perhaps with ``action_masks()``
    :param actions: its action space, or a copy with its own generator
    :return: a random legal action
    """
    if isinstance(actions, spaces.Discrete) and env.has_wrapper_attr("action_masks"):
        return actions.sample(np.asarray(env.get_wrapper_attr("action_masks")(), dtype=np.int8))
    return actions.sample()


def _explain_size(size_bytes: int, max_bytes: int) -> str:
    return (
        f"a snapshot of the environment takes {size_bytes / 2**20:.0f} MiB, more than {max_bytes / 2**20:.0f}: give it"
        " state_dict() and load_state_dict(state), which leave out what never changes"
    )


def _is_same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_is_same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, tuple | list):
        return len(found) == len(wanted) and all(map(_is_same, found, wanted))
    return bool(np.array_equal(found, wanted))


_GYMNASIUM = _Kind(
    begin=lambda env, seed: env.reset(seed=seed),
    walk=_walk,
    freeze=lambda env: freeze(list_layers(env)),
    thaw=lambda env, snapshot: thaw(list_layers(env), snapshot),
)
_VEC_ENV = _Kind(begin=_begin_vec_env, walk=_walk_vec_env, freeze=get_vec_snapshot, thaw=set_vec_snapshot)
