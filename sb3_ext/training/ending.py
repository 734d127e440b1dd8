"""Determine why and how a training ended."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from sb3_ext.callbacks import RunCheckpointCallback, StopCallback
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.disk_errors import find_disk_error
from sb3_ext.internals.sb3 import get_num_updates
from sb3_ext.runs.status import DISK_ERROR, NO_CHECKPOINT, NO_UPDATE, status_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """
    Why a training ended.

    :param reason: see :func:`sb3_ext.runs.status.status_for`
    :param detail: details for the user
    """

    reason: str
    detail: str | None = None

    @property
    def status(self) -> str:
        """``completed``, ``stopped`` or ``failed``."""
        return status_for(self.reason)


def announce_ending(model: BaseAlgorithm, total_steps: int | None) -> None:
    """
    Log the last step if it differs from ``train.total_steps``, or warn that no update would happen.

    :param model: the model before ``learn``
    :param total_steps: ``train.total_steps``
    """
    if total_steps is None or total_steps <= model.num_timesteps:
        return
    if isinstance(model, OnPolicyAlgorithm):
        rollout = model.n_steps * model.n_envs
        last_step = model.num_timesteps + rollout * math.ceil((total_steps - model.num_timesteps) / rollout)
        if last_step != total_steps:
            logger.info(
                "a rollout has %d steps (n_steps x environments), so train.total_steps ends the run at step %d",
                *(rollout, last_step),
            )
    elif getattr(model, "learning_starts", 0) >= total_steps:
        logger.warning(
            "train.total_steps: %d steps end before the first update, after agent.params.learning_starts (%d)",
            *(total_steps, model.learning_starts),  # type: ignore[attr-defined]
        )


def find_ending(
    model: BaseAlgorithm, callbacks: Sequence[BaseCallback], total_steps: int | None, fallback: str | None = None
) -> Ending:
    """
    :param model: the model after ``learn``
    :param callbacks: the callbacks of ``learn``
    :param total_steps: ``train.total_steps``
    :param fallback: reason of the exception that ended ``learn``
    :return: the reason of the first callback with one; else ``total_steps`` or ``callback``
    """
    for callback in list_callbacks(callbacks):
        if isinstance(callback, StopCallback) and callback.stop_reason is not None:
            return Ending(callback.stop_reason, callback.stop_detail)
    if fallback is None:
        fallback = "total_steps" if total_steps is not None and model.num_timesteps >= total_steps else "callback"
    return Ending(fallback)


def validate_ending(ending: Ending, model: BaseAlgorithm, checkpoints: RunCheckpointCallback) -> Ending:
    """
    Turn the ending into a failure if there was no update or the final checkpoint is missing.

    :param ending: why the training ended
    :param model: the model after ``learn``
    :param checkpoints: the checkpoint callback after :meth:`~sb3_ext.callbacks.RunCheckpointCallback.finish`
    :return: the ending, or the failure
    """
    if ending.status == "failed":
        return ending
    if ending.status == "completed" and get_num_updates(model) == 0:
        return Ending(NO_UPDATE, _explain_no_update(ending, model))
    error = checkpoints.find_final_error()
    if error is not None:
        return Ending(NO_CHECKPOINT if find_disk_error(error) is None else DISK_ERROR, str(error))
    final_step = checkpoints.final_step
    if ending.detail is None and final_step is not None and final_step < model.num_timesteps:
        lost_steps = model.num_timesteps - final_step
        where = f"in the middle of a rollout, whose {lost_steps} steps are not in the checkpoint of step {final_step}"
        return replace(ending, detail=where)
    return ending


def _explain_no_update(ending: Ending, model: BaseAlgorithm) -> str:
    explanation = f"{ending.reason} ended the run at step {model.num_timesteps}, before the first update"
    learning_starts = getattr(model, "learning_starts", None)
    if learning_starts is not None and learning_starts >= model.num_timesteps:
        return f"{explanation}: agent.params.learning_starts is {learning_starts}"
    return explanation
