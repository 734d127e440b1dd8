"""What SB3's rollout buffers contain, and what their minibatches call it."""

from __future__ import annotations

from typing import Any

from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from sb3_ext.algorithms.board_buffers import BoardRolloutBuffer, MaskableBoardRolloutBuffer
from sb3_ext.internals.sb3 import has_samples_of

_STOCK = (RolloutBuffer, DictRolloutBuffer, MaskableRolloutBuffer, MaskableDictRolloutBuffer)

FIELDS = {
    "observations": "observations",
    "actions": "actions",
    "values": "old_values",
    "log_probs": "old_log_prob",
    "advantages": "advantages",
    "returns": "returns",
    "action_masks": "action_masks",
}
"""Names in SB3's minibatches by attributes of the buffers; only maskable buffers have the last one."""


_BOARDS = (BoardRolloutBuffer, MaskableBoardRolloutBuffer)


def has_reflected_minibatches(buffer: Any) -> bool:
    """
    :param buffer: a rollout buffer
    :return: whether its minibatches are rows in a random order, which its ``reflector`` changes
    """
    return has_samples_of(buffer, _BOARDS)


def has_stock_minibatches(buffer: Any) -> bool:
    """
    :param buffer: a rollout buffer
    :return: whether its minibatches are rows in a random order, as those of SB3's and SB3-Contrib's buffers
    """
    return has_samples_of(buffer, _STOCK)
