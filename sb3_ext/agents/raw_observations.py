"""From the observations of an environment to those of a policy: frame stack, images with channels first, statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecTransposeImage, unwrap_vec_wrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_ext.checkpoints.formats.space_json import describe_space, make_space
from sb3_ext.selfplay.opponents.observation_statistics import Normalize


@dataclass(frozen=True)
class ObservationPath:
    """
    What happens to observations between an environment and a policy, before they are normalised.

    :param space: observation space of the environment
    :param frame_stack: number of stacked frames; ``None`` without a stack
    :param transposed: keys of the images whose channels become the first dimension; ``None`` stands for the whole
        observation
    """

    space: spaces.Space[Any]
    frame_stack: int | None = None
    transposed: Sequence[str | None] = ()

    def to_json(self) -> dict[str, Any]:
        """:return: plain data for :meth:`from_json`"""
        space = describe_space(self.space)
        return {"space": space, "frame_stack": self.frame_stack, "transposed": list(self.transposed)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ObservationPath:
        """:param content: from :meth:`to_json`"""
        return cls(make_space(content["space"]), content["frame_stack"], tuple(content["transposed"]))


def find_observation_path(env: VecEnv) -> ObservationPath:
    """
    :param env: environments of a run, with all their wrappers
    :return: what these wrappers do
    """
    stack, transpose = unwrap_vec_wrapper(env, VecFrameStack), unwrap_vec_wrapper(env, VecTransposeImage)
    transposed: Sequence[str | None] = ()
    if transpose is not None and not transpose.skip:
        is_dict = isinstance(transpose.observation_space, spaces.Dict)
        transposed = tuple(transpose.image_space_keys) if is_dict else (None,)
    inner = env
    while isinstance(inner, VecEnvWrapper):
        inner = inner.venv
    return ObservationPath(inner.observation_space, None if stack is None else stack.stacked_obs.n_stack, transposed)


class ObservationPipeline:
    """
    Convert raw observations to those of a policy. A frame stack keeps the frames of each row from one call to the next.

    :param path: what to do
    :param normalize: normalises observations with the statistics of training
    """

    def __init__(self, path: ObservationPath, normalize: Normalize) -> None:
        self._path = path
        self._normalize = normalize
        self._stack: StackedObservations[Any] | None = None

    def convert(self, observations: Any, starts: NDArray[np.bool_]) -> Any:
        """
        :param observations: a batch of raw observations
        :param starts: for each row, whether its episode begins with this observation, shape ``(batch,)``
        :return: observations of the policy
        """
        if self._path.frame_stack is not None:
            observations = self._stack_frames(self._path.frame_stack, observations, starts)
        for key in self._path.transposed:
            if key is None:
                observations = VecTransposeImage.transpose_image(observations)
            else:
                observations = {**observations, key: VecTransposeImage.transpose_image(observations[key])}
        return self._normalize(observations)

    def _stack_frames(self, count: int, observations: Any, starts: NDArray[np.bool_]) -> Any:
        if self._stack is None or starts.all():
            space: Any = self._path.space  # a Box or a Dict of them: VecFrameStack takes no others
            self._stack = StackedObservations(len(starts), count, space)
            return self._stack.reset(observations)
        infos = [{"terminal_observation": _get_row(observations, row)} for row in range(len(starts))]
        stacked, _ = self._stack.update(observations, starts, infos)
        return stacked


def _get_row(observations: Any, row: int) -> Any:
    if isinstance(observations, dict):
        return {key: values[row] for key, values in observations.items()}
    return observations[row]
