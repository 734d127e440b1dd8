"""Give the rollouts of LookaheadPPO what a lookahead of one move finds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.algorithms.lookahead_buffers import LookaheadRolloutBuffer
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.errors import Sb3ExtError
from sb3_ext.selfplay.opponents.policy_scores import make_values
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

_PART = 512  # positions: their activations stay in the cache


class LookaheadCallback(LightCallback):
    """
    Value all legal moves in each position of a rollout with the model's value network, for
    :class:`~sb3_ext.algorithms.lookahead_ppo.LookaheadPPO` and
    :class:`~sb3_ext.algorithms.lookahead_ppo.LookaheadMaskablePPO`.

    :raises Sb3ExtError: when training starts, if the model is another one, or its environments are not boards of a game
    """

    model: Any

    def _init_callback(self) -> None:
        seat, buffer = self.training_env.unwrapped, getattr(self.model, "rollout_buffer", None)
        if not isinstance(buffer, LookaheadRolloutBuffer):
            raise Sb3ExtError(
                f"LookaheadCallback: expected LookaheadPPO or LookaheadMaskablePPO, found {type(self.model).__name__}"
            )
        if not isinstance(seat, SelfPlayVecEnv):
            raise Sb3ExtError(f"LookaheadCallback: expected SelfPlayVecEnv, found {type(seat).__name__}")
        if buffer.num_mirrors != seat.num_mirrors:
            expected = f"rollout_buffer_kwargs={{'num_mirrors': {seat.num_mirrors}}}, as in the environments"
            raise Sb3ExtError(f"LookaheadCallback: expected {expected}, found {buffer.num_mirrors}")
        self._seat = seat
        self._values = make_values(self.model.policy)
        # γ is for a move and its reply.
        seat.look_ahead_with(self._compute_values, math.sqrt(self.model.gamma))

    def _on_step(self) -> bool:
        self.model.rollout_buffer.set_move_values(self._seat.move_values)
        return True

    def _on_training_end(self) -> None:
        self._seat.look_ahead_with(None)

    def _compute_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        normalizer = self.model.get_vec_normalize_env()
        if normalizer is not None:
            observations = normalizer.normalize_obs(observations)
        with torch.inference_mode():
            starts = range(0, len(observations), _PART)
            parts = [self._values(observations[start : start + _PART]) for start in starts]
            return torch.cat(parts).flatten().cpu().numpy()
