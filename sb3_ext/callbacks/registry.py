"""The callbacks that a configuration can name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.arguments import import_name
from sb3_ext.errors import ConfigError
from sb3_ext.problems import suggest_name

#: name in a configuration -> the class, as ``module:Name``
CALLBACK_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "epsilon_decay": "sb3_ext.callbacks.epsilon_decay:EpsilonDecayCallback",
        "lr_decay": "sb3_ext.callbacks.lr_decay:LearningRateDecayCallback",
    }
)


def load_callback_class(name: str) -> type[BaseCallback]:
    """
    Import a callback's class by the name it has in a configuration.

    :param name: a key of :data:`CALLBACK_TYPES`, or ``module:Name`` of a class of the user's own
    :return: the class
    :raises ConfigError: if there is no such callback, with the nearest name, or it is no ``BaseCallback``
    """
    if name not in CALLBACK_TYPES and ":" not in name:
        raise ConfigError(
            f"unknown callback '{name}'; {suggest_name(name, CALLBACK_TYPES)} (or module:Name of a class of your own)"
        )
    try:
        found = import_name(CALLBACK_TYPES.get(name, name))
    except LookupError as error:
        raise ConfigError(f"callback '{name}': {error.args[0]}") from error
    if not isinstance(found, type) or not issubclass(found, BaseCallback):
        raise ConfigError(f"callback '{name}': expected a class derived from SB3's BaseCallback, found {found!r}")
    return found
