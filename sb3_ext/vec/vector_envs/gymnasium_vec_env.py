"""Use a vector environment of Gymnasium as a ``VecEnv`` of SB3."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList
from numpy.typing import NDArray
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from sb3_ext.vec.snapshots.layer_snapshots import SnapshotError, freeze, list_layers, thaw
from sb3_ext.vec.vector_envs.masked_reset import use_masked_reset


class GymnasiumVecEnv(VecEnv):
    """
    Use any ``gymnasium.vector.VectorEnv`` as a ``VecEnv``::

        model = PPO("MlpPolicy", VecMonitor(GymnasiumVecEnv(gymnasium.make_vec("CartPole-v1", 8))))

    A ``VecEnv`` resets an environment in the step in which its episode ends. That is possible if the ``VectorEnv`` has

    - ``AutoresetMode.SAME_STEP``, with ``final_obs`` in its infos;
    - ``AutoresetMode.DISABLED``, with ``reset(options={"reset_mask": mask})``;
    - ``AutoresetMode.NEXT_STEP``, and is one that :func:`~sb3_ext.vec.vector_envs.masked_reset.use_masked_reset`
      knows: Gymnasium's functional JAX environments and ``CartPoleVectorEnv``, and EnvPool.

    With ``render_mode="rgb_array"``, the info at the end of an episode has a ``last_frame``, unless the mode is
    ``SAME_STEP``.

    Checkpoints save vector environments whose state is in picklable attributes, ``SyncVectorEnv``, Gymnasium's
    functional JAX environments, and those with ``state_dict()`` and ``load_state_dict(state)``.

    :param env: the vector environment; its outputs are copied
    :raises ValueError: if its autoreset mode is another one, or it does not name it
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self.vector_env = use_masked_reset(env)
        self._resets_in_step = self.vector_env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self._listed: Any = DictInfoToList(self.vector_env)
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = {**self.metadata, **self.vector_env.metadata, "render_modes": self.metadata["render_modes"]}

    def step_async(self, actions: np.ndarray) -> None:
        """
        :param actions: one each
        """
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """
        :return: observations, rewards, dones and infos
        :raises ValueError: if the vector environment resets in the same step, but reports no ``final_obs``
        """
        found, rewards, terminations, truncations, infos = self._listed.step(self._actions)
        observations = self._copy(found)
        terminated, truncated = np.array(terminations, dtype=bool), np.array(truncations, dtype=bool)
        dones = terminated | truncated
        for info, is_truncated in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            info["TimeLimit.truncated"] = is_truncated
        if self._resets_in_step:
            self._split_infos(infos, dones)
        elif dones.any():
            self._reset_ended(observations, infos, dones)
        return observations, np.array(rewards, dtype=np.float32), dones, infos

    def reset(self) -> VecEnvObs:
        """
        Reset with the seed of the first environment: as Gymnasium specifies, the others' seeds follow from it.

        :return: observations
        :raises ValueError: if options differ between environments
        """
        if any(options != self._options[0] for options in self._options):
            raise ValueError("a vector environment of Gymnasium takes the same options for all of its environments")
        observations, self.reset_infos = self._listed.reset(seed=self._seeds[0], options=dict(self._options[0]) or None)
        self._reset_seeds()
        self._reset_options()
        return self._copy(observations)

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    def kill(self) -> None:
        """See :class:`~sb3_ext.vec.snapshots.vec_env_access.SupportsKill`."""
        if isinstance(self.vector_env.unwrapped, AsyncVectorEnv):
            self.vector_env.close(terminate=True)

    def get_images(self) -> Sequence[np.ndarray | None]:
        """
        :return: a frame of each environment
        """
        frames = self.vector_env.render()
        return [None] * self.num_envs if frames is None else [np.asarray(frame) for frame in frames]

    def has_attr(self, attr_name: str) -> bool:
        """
        :param attr_name: a name
        :return: whether :meth:`get_attr` finds it
        """
        try:
            return self._find_holder(attr_name) is not None or bool(self._get_separate(attr_name))
        except AttributeError:
            return False

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """
        :param attr_name: an attribute of each environment, or of the vector environment
        :param indices: of the environments
        :return: its values
        :raises AttributeError: if there is no such attribute
        """
        holder = self._find_holder(attr_name)
        if holder is not None:
            values: Sequence[Any] = [getattr(holder, attr_name)] * self.num_envs
        else:
            values = self._get_separate(attr_name).get_attr(attr_name)
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """
        :param attr_name: an attribute of each environment, or of the vector environment
        :param value: for all environments
        :param indices: ``None``: only the attributes of all environments can be set
        :raises NotImplementedError: if there are indices
        """
        if indices is not None:
            raise NotImplementedError("a vector environment of Gymnasium sets attributes of all environments at once")
        base: Any = self.vector_env.unwrapped
        if isinstance(base, SyncVectorEnv | AsyncVectorEnv) and self._find_holder(attr_name) is None:
            base.set_attr(attr_name, [value] * self.num_envs)
        else:
            setattr(self._find_holder(attr_name) or base, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """
        :param method_name: a method of each environment, or of the vector environment, which then returns a row for
            each, such as ``action_masks``
        :param method_args: its arguments
        :param indices: of the environments whose results are returned; all are called
        :param method_kwargs: its keyword arguments
        :return: the results
        :raises AttributeError: if there is no such method
        """
        holder = self._find_holder(method_name)
        if holder is not None:
            rows = getattr(holder, method_name)(*method_args, **method_kwargs)
        else:
            rows = self._get_separate(method_name).call(method_name, *method_args, **method_kwargs)
        return [rows[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """
        :param wrapper_class: of wrappers
        :param indices: of the environments
        :return: whether each is inside such a wrapper; ``False`` for environments that cannot be reached
        """
        base = self.vector_env.unwrapped
        envs = base.envs if isinstance(base, SyncVectorEnv) else None
        chosen = self._get_indices(indices)
        return [envs is not None and is_wrapped(envs[index], wrapper_class) for index in chosen]

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :return: the state of the vector environment with its wrappers
        :raises SnapshotError: if it cannot be saved
        """
        return {"seeds": list(self._seeds), "options": list(self._options), "layers": freeze(self._list_layers())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :param state: of such a vector environment with the same wrappers
        :raises SnapshotError: if it does not fit
        """
        thaw(self._list_layers(), state["layers"])
        self._seeds, self._options = list(state["seeds"]), list(state["options"])

    def _list_layers(self) -> list[Any]:
        layers: list[Any] = list(_walk_wrappers(self.vector_env))
        base = layers[-1]
        if isinstance(base, AsyncVectorEnv):
            raise SnapshotError(
                "the environments of AsyncVectorEnv cannot be saved; those of parallel.mode workers can"
            )
        if isinstance(base, SyncVectorEnv):
            layers += [layer for env in base.envs for layer in list_layers(env)]
        return layers

    def _find_holder(self, name: str) -> VectorEnv[Any, Any, Any] | None:
        """:return: the layer of the vector environment that has an attribute; ``None`` if its parts may have it"""
        has_parts = isinstance(self.vector_env.unwrapped, SyncVectorEnv | AsyncVectorEnv)
        own = ("render_mode", "metadata", "spec") if has_parts else None
        layers = _walk_wrappers(self.vector_env)
        return next((layer for layer in layers if (own is None or name in own) and hasattr(layer, name)), None)

    def _get_separate(self, name: str) -> Any:
        """
        :param name: of an attribute
        :return: the vector environment of separate environments that have it
        :raises AttributeError: if there are no such environments
        """
        base = self.vector_env.unwrapped
        if isinstance(base, SyncVectorEnv) and base.envs[0].has_wrapper_attr(name):
            return base
        # To ask a process of AsyncVectorEnv for an attribute that is missing would end it.
        if isinstance(base, AsyncVectorEnv):
            with closing(base.env_fns[0]()) as env:
                if env.has_wrapper_attr(name):
                    return base
        raise AttributeError(f"{type(base).__name__} has no attribute {name!r}")

    def _split_infos(self, infos: list[dict[str, Any]], dones: NDArray[np.bool_]) -> None:
        """Give ended episodes the infos of their last steps; those that the reset gave go to ``reset_infos``."""
        for index, (info, is_done) in enumerate(zip(infos, dones.tolist(), strict=True)):
            final_info, final_observation = info.pop("final_info", None), info.pop("final_obs", None)
            if not is_done:
                continue
            if final_observation is None:
                name = type(self.vector_env.unwrapped).__name__
                raise ValueError(
                    f"{name} has AutoresetMode.SAME_STEP, but its infos have no 'final_obs' at the end of an episode"
                )
            is_truncated = info.pop("TimeLimit.truncated")
            self.reset_infos[index] = info
            infos[index] = {
                **(final_info or {}),
                "TimeLimit.truncated": is_truncated,
                "terminal_observation": final_observation,
            }

    def _reset_ended(self, observations: VecEnvObs, infos: list[dict[str, Any]], dones: NDArray[np.bool_]) -> None:
        """Reset the environments whose episodes have ended, in place of their observations."""
        frames = self.get_images() if self.render_mode == "rgb_array" else None
        found, reset_infos = self._listed.reset(options={"reset_mask": dones.copy()})
        for index in np.flatnonzero(dones).tolist():
            if frames is not None:
                infos[index]["last_frame"] = frames[index]
            infos[index]["terminal_observation"] = _copy_row(observations, index)
            self.reset_infos[index] = reset_infos[index]
        if isinstance(observations, dict):
            for key, part in observations.items():
                part[dones] = np.asarray(found[key])[dones]
        else:
            assert isinstance(observations, np.ndarray)
            observations[dones] = np.asarray(found)[dones]

    def _copy(self, observations: Any) -> VecEnvObs:
        space = self.observation_space
        if isinstance(space, gymnasium.spaces.Dict):
            return {key: np.array(observations[key], dtype=part.dtype) for key, part in space.spaces.items()}
        return np.array(observations, dtype=space.dtype)


def _walk_wrappers(env: VectorEnv[Any, Any, Any]) -> list[VectorEnv[Any, Any, Any]]:
    """:return: the wrappers, outermost first, and the vector environment itself"""
    layers = [env]
    while isinstance(layers[-1], VectorWrapper):
        layers.append(layers[-1].env)
    return layers


def _copy_row(observations: VecEnvObs, index: int) -> Any:
    if isinstance(observations, dict):
        return {key: part[index].copy() for key, part in observations.items()}
    assert isinstance(observations, np.ndarray)
    return observations[index].copy()
