"""The callbacks that ``train.callbacks`` knows by a name of their own. Any other is ``module:Name``."""

from __future__ import annotations

from typing import Any

from sb3_ext.arguments import import_name
from sb3_ext.config.schema import CHECKPOINT_TYPE
from sb3_ext.problems import suggest_name

CALLBACK_TYPES = {
    "epsilon_decay": "sb3_ext.callbacks:EpsilonDecayCallback",
    "lr_decay": "sb3_ext.callbacks:LearningRateDecayCallback",
}
"""Names, not classes: the configuration lies below the callbacks."""


def load_callback_class(callback_type: str) -> Any:
    """
    :param callback_type: a known name, or ``module:Name``
    :return: the class
    :raises LookupError: with a message for the user, if there is none, or if it is no ``BaseCallback``
    """
    from stable_baselines3.common.callbacks import BaseCallback

    if callback_type not in CALLBACK_TYPES and ":" not in callback_type:
        near = suggest_name(callback_type, (*CALLBACK_TYPES, CHECKPOINT_TYPE))
        raise LookupError(f"unknown callback '{callback_type}'; {near} (one of your own is 'module:Name')")
    found = import_name(CALLBACK_TYPES.get(callback_type, callback_type))
    if not (isinstance(found, type) and issubclass(found, BaseCallback)):
        raise LookupError(f"'{callback_type}' is no callback; expected a subclass of SB3's BaseCallback")
    return found
