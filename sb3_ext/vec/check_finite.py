"""Raise an error for NaN and infinity from an environment, before networks and statistics receive them."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_ext.errors import Sb3ExtError
from sb3_ext.vec.unpicklable import find_unpicklable


class NonFiniteError(Sb3ExtError):
    """An environment returned an observation or a reward that is NaN or infinite."""


class VecCheckFinite(VecEnvWrapper):
    """
    Raise an error when an environment returns an observation or a reward that is NaN or infinite.

    Unlike that of SB3's ``VecCheckNan``, the error names the environment, the step and the part of a ``Dict``
    observation, and terminal observations are checked too. Costs a few microseconds a step. Put it directly around the
    environments, inside ``VecNormalize``::

        env = VecNormalize(VecCheckFinite(make_vec_env("CartPole-v1", 8), "CartPole-v1"))

    :param venv: the environments
    :param name: of the environments, for the error
    """

    def __init__(self, venv: VecEnv, name: str = "") -> None:
        super().__init__(venv)
        self._name = name
        self._steps = 0
        self._began_at = np.zeros(self.num_envs, dtype=int)  # the value of _steps when each episode began

    def reset(self) -> VecEnvObs:
        """
        :return: observations
        :raises NonFiniteError: if one is NaN or infinite
        """
        observations = self.venv.reset()
        self._began_at[:] = self._steps
        self._check(observations, "observation", np.ones(self.num_envs, dtype=bool))
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        """
        :return: observations, rewards, dones and infos
        :raises NonFiniteError: if an observation or a reward is NaN or infinite
        :raises TypeError: if ``DummyVecEnv`` cannot copy an info; names the environment and the part
        """
        try:
            observations, rewards, dones, infos = self.venv.step_wait()
        except TypeError as error:
            self._explain_copying(error)
            raise
        self._steps += 1
        if not _is_finite(rewards):
            self._fail("reward", rewards, np.zeros_like(dones))
        has_ended = True in dones.tolist()  # several times faster than reducing a small array
        if has_ended:
            self._check_ends(dones, infos)
        self._check(observations, "observation", dones)
        if has_ended:
            self._began_at[dones] = self._steps
        return observations, rewards, dones, infos

    def _explain_copying(self, error: TypeError) -> None:
        """Name the part of an info that ``DummyVecEnv`` could not copy."""
        if not isinstance(self.unwrapped, DummyVecEnv):
            return
        for index, info in enumerate(self.unwrapped.buf_infos):
            try:
                copy.deepcopy(info)
            except TypeError:
                part = find_unpicklable(info, "info")
                raise TypeError(f"{self._name_environment(index)}: {part} cannot be copied: {error}") from error

    def _check_ends(self, dones: NDArray[np.bool_], infos: list[dict[str, Any]]) -> None:
        for index in np.flatnonzero(dones):
            for key, part in _list_parts(infos[index].get("terminal_observation")):
                if not _is_finite(np.asarray(part)):
                    rows = np.zeros((self.num_envs, *np.shape(part)))
                    rows[index] = part
                    self._fail(_name_part("last observation", key), rows, np.zeros_like(dones))

    def _check(self, observations: VecEnvObs, subject: str, is_reset: NDArray[np.bool_]) -> None:
        if isinstance(observations, np.ndarray):
            if not _is_finite(observations):
                self._fail(subject, observations, is_reset)
            return
        for key, part in _list_parts(observations):
            if not _is_finite(part):
                self._fail(_name_part(subject, key), part, is_reset)

    def _fail(self, subject: str, values: NDArray[Any], is_reset: NDArray[np.bool_]) -> None:
        index, *place = (int(number) for number in np.argwhere(~np.isfinite(values))[0])
        value = values[(index, *place)]
        where = f" at {place}" if place else ""
        if is_reset[index]:
            when = f"at its reset after {self._steps * self.num_envs:,} steps"
        else:
            episode_step = self._steps - self._began_at[index]
            when = f"at step {self._steps * self.num_envs:,}, step {episode_step:,} of its episode"
        raise NonFiniteError(f"{self._name_environment(index)}: the {subject} is {value}{where}, {when}")

    def _name_environment(self, index: int) -> str:
        return f"environment {index}" if not self._name else f"environment {index} of {self._name}"


def _is_finite(values: NDArray[Any]) -> bool:
    if values.dtype.kind != "f" or math.isfinite(np.vdot(values, values)):
        return True
    # The sum of squares may overflow.
    return bool(np.isfinite(values).all())


def _list_parts(observation: Any) -> list[tuple[Any, Any]]:
    if isinstance(observation, dict):
        return list(observation.items())
    if isinstance(observation, tuple):
        return list(enumerate(observation))
    return [] if observation is None else [(None, observation)]


def _name_part(subject: str, key: Any) -> str:
    return subject if key is None else f"part {key!r} of the {subject}"
