"""The environments of one worker process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.util import obs_space_info

from sb3_ext.internals.sb3 import patch_env
from sb3_ext.vec.global_random import GlobalRandomState, get_global_random_state, set_global_random_state
from sb3_ext.vec.monitor_files import MonitorFile, cut_monitor_file, get_monitor_file, tolerate_full_disk
from sb3_ext.vec.snapshots.layer_snapshots import freeze, list_layers, thaw
from sb3_ext.vec.workers.shared_memory import StepArrays

EnvFn = Callable[[], gymnasium.Env[Any, Any]]
# The position of an environment, its info, and what its reset gave if its episode has ended.
StepInfo = tuple[int, dict[str, Any], dict[str, Any] | None]


class EnvironmentGroup:
    """
    Step, reset, query and save environments, with the same results as SB3's ``DummyVecEnv``.

    :ivar envs: the environments that were made
    :ivar arrays: actions and results, in shared memory
    :ivar current: position of the environment being called, for errors
    """

    arrays: StepArrays

    def __init__(self) -> None:
        self.envs: list[gymnasium.Env[Any, Any]] = []
        self.current = 0

    def make(self, env_fns: Sequence[EnvFn]) -> None:
        """
        :param env_fns: make the environments
        :raises ValueError: if two of them return the same environment
        """
        for self.current, env_fn in enumerate(env_fns):
            self.envs.append(patch_env(env_fn()))
            tolerate_full_disk(_find_monitor(self.envs[-1]))
        if len({id(env.unwrapped) for env in self.envs}) != len(self.envs):
            raise ValueError("two functions returned the same environment; each must make a new one")
        self._keys = obs_space_info(self.envs[0].observation_space)[0]

    def describe(self) -> tuple[list[spaces.Space[Any]], list[spaces.Space[Any]], dict[str, Any]]:
        """
        :return: observation and action space of each environment, and the first one's metadata
        """
        observation_spaces = [env.observation_space for env in self.envs]
        return observation_spaces, [env.action_space for env in self.envs], dict(self.envs[0].metadata)

    def step(self, actions: Sequence[Any] | np.ndarray | None = None) -> list[StepInfo] | None:
        """
        Step every environment; one whose episode ends is reset at once.

        :param actions: one each; ``None`` if they are in the shared array
        :return: infos with more than ``TimeLimit.truncated: False``; ``None`` if there are none
        """
        arrays = self.arrays
        if actions is None:
            assert arrays.actions is not None
            actions = arrays.actions.copy()  # an environment may keep a reference
        rewards, dones = arrays.rewards, arrays.dones
        reported: list[StepInfo] = []
        for index, env in enumerate(self.envs):
            self.current = index
            observation, rewards[index], terminated, truncated, info = env.step(actions[index])
            dones[index] = is_done = terminated or truncated
            info["TimeLimit.truncated"] = truncated and not terminated
            reset_info = None
            if is_done:
                info["terminal_observation"] = observation
                observation, reset_info = env.reset()
            self._save_observation(index, observation)
            if len(info) > 1:
                reported.append((index, info, reset_info))
        return reported or None

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        :param seeds: one each
        :param options: one each; empty ones are not passed
        :return: infos
        """
        infos = []
        for index, env in enumerate(self.envs):
            self.current = index
            maybe_options = {"options": options[index]} if options[index] else {}
            observation, info = env.reset(seed=seeds[index], **maybe_options)
            self._save_observation(index, observation)
            infos.append(info)
        return infos

    def ask(self, question: str, indices: Sequence[int], *arguments: Any) -> list[Any]:
        """
        :param question: one of ``_QUESTIONS``
        :param indices: of the environments
        :param arguments: of the question
        :return: answers, one each
        """
        function, answers = _QUESTIONS[question], []
        for index in indices:
            self.current = index
            answers.append(function(self.envs[index], *arguments))
        return answers

    def get_snapshot(self) -> tuple[list[bytes], GlobalRandomState]:
        """
        Save the environments.

        :return: the state of each environment, and of this process's global generators, which they share
        :raises SnapshotError: if a state cannot be saved
        """
        return [freeze(list_layers(env)) for env in self.envs], get_global_random_state()

    def set_snapshot(self, states: Sequence[bytes], random_state: GlobalRandomState | None) -> None:
        """
        Restore the environments.

        :param states: the state of each environment
        :param random_state: the state of the global generators; ``None`` leaves them as they are
        :raises SnapshotError: if a state does not fit its environment
        """
        for index, env in enumerate(self.envs):
            self.current = index
            thaw(list_layers(env), states[index])
        if random_state is not None:
            set_global_random_state(random_state)

    def set_joint_snapshot(self, layers: bytes, random_state: GlobalRandomState) -> None:
        """
        Restore the environments from a snapshot of an earlier version.

        :param layers: the state of the layers of all environments together
        :param random_state: the state of the global generators
        :raises SnapshotError: if it does not fit
        """
        thaw([layer for env in self.envs for layer in list_layers(env)], layers)
        set_global_random_state(random_state)

    def get_monitor_files(self) -> list[MonitorFile | None]:
        """
        :return: of each environment's ``Monitor``, ``None`` if it writes none
        """
        return [None if monitor is None else get_monitor_file(monitor) for monitor in map(_find_monitor, self.envs)]

    def cut_monitor_files(self, sizes_bytes: Sequence[int | None]) -> None:
        """
        :param sizes_bytes: see :func:`sb3_ext.vec.monitor_files.cut_monitor_file`; ``None`` leaves a file alone
        """
        for env, size_bytes in zip(self.envs, sizes_bytes, strict=True):
            monitor = _find_monitor(env)
            if monitor is not None and size_bytes is not None:
                cut_monitor_file(monitor, size_bytes)

    def continue_monitor_files(self) -> None:
        """Continue the clocks of existing files."""
        self.cut_monitor_files([None if file is None else file.size_bytes for file in self.get_monitor_files()])

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _save_observation(self, index: int, observation: Any) -> None:
        for key, array in zip(self._keys, self.arrays.observations, strict=True):
            array[index] = observation if key is None else observation[key]


def _call_method(env: Any, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    return env.get_wrapper_attr(name)(*arguments, **keywords)


def _has_attribute(env: Any, name: str) -> bool:
    try:
        env.get_wrapper_attr(name)
    except AttributeError:
        return False
    return True


def _render(env: Any) -> np.ndarray | None:
    frame: np.ndarray | None = env.render()
    return frame


def _find_monitor(env: gymnasium.Env[Any, Any]) -> Monitor[Any, Any] | None:
    return next((layer for layer in list_layers(env) if isinstance(layer, Monitor)), None)


_QUESTIONS: dict[str, Callable[..., Any]] = {
    "env_method": _call_method,
    "get_attr": lambda env, name: env.get_wrapper_attr(name),
    "has_attr": _has_attribute,
    "is_wrapped": is_wrapped,
    "render": _render,
    "set_attr": setattr,
}
