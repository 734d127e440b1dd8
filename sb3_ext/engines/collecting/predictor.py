"""Predict actions as SB3's ``predict`` does, in less time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sb3_contrib import QRDQN, MaskablePPO
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.engines.collecting.observation_inputs import Observations, count_rows, is_batch
from sb3_ext.engines.collecting.policy_programs import PolicyProgram, make_program, scale_actions
from sb3_ext.engines.coverage import NotCovered

_POLICY_PREDICTS = {BaseAlgorithm.predict, MaskablePPO.predict}
_EXPLORES = {DQN.predict, QRDQN.predict}
_EXPLORES_LEGAL_MOVES = {MaskedDQN.predict, MaskedQRDQN.predict}
_KNOWN = _POLICY_PREDICTS | _EXPLORES | _EXPLORES_LEGAL_MOVES

_MAX_PROGRAMS = 32  # each has memory of its own for activations


class Predictor:
    """
    Predicts actions as the ``predict`` of a model or policy does: the same but for rounding, with the same random
    numbers, in a tenth of the time for small networks. It uses the current parameters.

    Calls ``predict`` itself for policies, observations and arguments that are not supported: a single observation,
    another kind of policy, another device than the CPU.

    :param model: an SB3 algorithm or policy, or an object with a ``predict`` method
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._programs: dict[int, PolicyProgram] = {}
        self._is_covered = True

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], Any]:
        """
        Compute the actions for a batch of observations.

        :param observation: array of shape (rows, …), or a ``dict`` of these
        :param state: state of a recurrent policy
        :param episode_start: whether an episode begins with each observation, for recurrent policies
        :param deterministic: choose the most likely actions, instead of drawing from torch's global generator
        :param action_masks: allowed actions of MaskablePPO, shape (rows, actions)
        :return: actions for the environment, of shape (rows, …), and the next state
        """
        program = self._find_program(observation) if self._is_covered and state is None else None
        if program is None:
            masks = {} if action_masks is None else {"action_masks": action_masks}
            predicted: tuple[NDArray[Any], Any] = self._model.predict(
                observation, state, episode_start, deterministic, **masks
            )
            return predicted
        model, kind = self._model, getattr(type(self._model), "predict", None)
        if kind in _EXPLORES and not deterministic and np.random.rand() < model.exploration_rate:
            return np.array([model.action_space.sample() for _row in range(program.rows)]), None
        if program.calls_modules:
            program.policy.set_training_mode(False)
        actions = program.choose(observation, deterministic=deterministic, masks=action_masks)
        if kind in _EXPLORES_LEGAL_MOVES and not deterministic:
            actions = model.explore(observation, actions)
        return scale_actions(program.policy, actions), None

    def _find_program(self, observation: Observations) -> PolicyProgram | None:
        policy = self._find_policy()
        if policy is None or not is_batch(observation, policy.observation_space):
            return None
        rows = count_rows(observation)
        program = self._programs.get(rows)
        if program is None or program.policy is not policy or program.has_moved():
            policy.set_training_mode(False)
            if len(self._programs) == _MAX_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            try:
                program = self._programs[rows] = make_program(policy, observation)
            except NotCovered:
                self._is_covered = False
                return None
        return program

    def _find_policy(self) -> Any:
        model = self._model
        if isinstance(model, BasePolicy):
            return model
        is_known = getattr(type(model), "predict", None) in _KNOWN
        return model.policy if is_known and "predict" not in vars(model) else None
