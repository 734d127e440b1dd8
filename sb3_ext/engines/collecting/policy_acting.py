"""Let a policy act in a rollout: by a program, or by its own ``forward``."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.utils import obs_as_tensor

from sb3_ext.engines.collecting.observation_inputs import Observations, is_batch
from sb3_ext.engines.collecting.policy_programs import ActorCriticProgram
from sb3_ext.engines.coverage import NotCovered

logger = logging.getLogger(__name__)


class Acting:
    """
    Computes actions, values and log-probabilities of an actor-critic policy.

    Uses the policy's own ``forward`` if there is no program for it, and logs why.

    :param model: an on-policy model
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._program: ActorCriticProgram | None = None
        self._single: ActorCriticProgram | None = None
        self._uncovered: Any = None

    def begin_rollout(self) -> None:
        """Switch the policy to evaluation mode, if that may change what it computes."""
        if self._program is None or self._program.calls_modules:
            self._model.policy.set_training_mode(False)

    def prepare(self, observations: Observations) -> None:
        """
        Make the program for the policy as it is now.

        :param observations: observations of all environments
        """
        policy = self._model.policy
        if policy is self._uncovered:
            return
        if self._program is not None and self._program.policy is policy and not self._program.has_moved():
            return
        policy.set_training_mode(False)
        self._program = self._single = None
        try:
            self._program = ActorCriticProgram(policy, observations)
        except NotCovered as error:
            self._uncovered = policy
            logger.info("collecting: actions by the policy's own forward, since %s", error.reason)

    def act(
        self, observations: Observations, masks: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """
        Draw actions.

        :param observations: observations of all environments
        :param masks: allowed actions of MaskablePPO; ``None`` without masks
        :return: actions, values of shape (num_envs, 1), log-probabilities of shape (num_envs,)
        """
        if self._program is not None:
            return self._program.act(observations, masks)
        keywords = {} if masks is None else {"action_masks": masks}
        with torch.no_grad():
            found = self._model.policy(self.to_tensors(observations), **keywords)
        actions, values, log_probs = (tensor.cpu().numpy() for tensor in found)
        return actions, values, log_probs

    def to_tensors(self, observations: Observations) -> Any:
        """
        :param observations: observations of all environments
        :return: tensors on the device of the model, on the same memory where possible
        """
        if isinstance(observations, np.ndarray) and self._model.device.type == "cpu":
            return torch.from_numpy(observations)
        return obs_as_tensor(observations, self._model.device)

    def compute_values(self, observations: Observations) -> NDArray[np.float32]:
        """
        :param observations: observations of all environments
        :return: their values, shape (num_envs, 1)
        """
        if self._program is not None:
            return self._program.compute_values(observations)
        return self._call_predict_values(self.to_tensors(observations))

    def compute_single_value(self, observation: Any) -> NDArray[np.float32]:
        """
        :param observation: an observation of one environment
        :return: its value, shape (1, 1)
        """
        policy = self._model.policy
        if self._program is not None:
            if isinstance(observation, dict):
                batch: Any = {key: np.asarray(part)[None] for key, part in observation.items()}
            else:
                batch = np.asarray(observation)[None]
            if is_batch(batch, policy.observation_space):
                if self._single is None:
                    self._single = ActorCriticProgram(policy, batch)
                return self._single.compute_values(batch)
        return self._call_predict_values(policy.obs_to_tensor(observation)[0])

    def _call_predict_values(self, tensors: Any) -> NDArray[np.float32]:
        with torch.no_grad():
            values: NDArray[np.float32] = self._model.policy.predict_values(tensors).cpu().numpy()
        return values
