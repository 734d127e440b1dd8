"""Choose what collects the rollouts of a model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sb3_ext.engines.collecting.off_policy_rollouts import OffPolicyRollouts
from sb3_ext.engines.collecting.on_policy_rollouts import OnPolicyRollouts
from sb3_ext.engines.coverage import name_type
from sb3_ext.internals.sb3_rollouts import has_method_of

logger = logging.getLogger(__name__)


def choose_rollouts(model: Any) -> Callable[..., Any] | None:
    """
    Make the replacement of a model's ``collect_rollouts``.

    :param model: the model, ready to learn
    :return: the replacement; ``None``, with a line in the log, if its class collects rollouts in its own way
    """
    for rollouts in (OnPolicyRollouts, OffPolicyRollouts):
        if has_method_of(model, rollouts.algorithms, "collect_rollouts"):
            return rollouts(model)
    logger.info("collecting: by SB3's own loop, since %s has another collect_rollouts", name_type(model))
    return None
