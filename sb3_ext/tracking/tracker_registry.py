"""Registry of trackers by their names in a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sb3_ext.errors import ConfigError, Sb3ExtError, describe_error
from sb3_ext.extensions import Registry
from sb3_ext.tracking.tracker import Tracker

TENSORBOARD = "tensorboard"

TRACKERS = Registry(
    "tracker",
    {
        "mlflow": "sb3_ext.tracking.mlflow:MlflowTracker",
        TENSORBOARD: "sb3_ext.tracking.tensorboard:TensorBoardTracker",
        "trackio": "sb3_ext.tracking.trackio:TrackioTracker",
        "wandb": "sb3_ext.tracking.wandb:WandbTracker",
    },
    "sb3_ext.trackers",
)
"""Every tracker that a configuration can name."""


def load_tracker_class(name: str) -> type[Tracker]:
    """
    :param name: a name in :data:`TRACKERS`, or ``module:Name``
    :return: the class
    :raises LookupError: if there is no such class, or it is not a :class:`Tracker`, with a message for the user
    """
    found = TRACKERS.load(name)
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        raise LookupError(f"'{name}' is not a subclass of sb3_ext.tracking.Tracker")
    return found


def make_trackers(section: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Tracker]:
    """
    Make the trackers of a configuration. They do not connect yet.

    :param section: the section ``tracking``: keyword arguments by name; ``None`` switches a tracker off
    :return: trackers by name
    :raises ConfigError: if one cannot be made with its arguments
    :raises MissingExtraError: if one needs an extra that is not installed
    """
    trackers = {}
    for name, arguments in section.items():
        if arguments is None:
            continue
        try:
            trackers[name] = load_tracker_class(name)(**arguments)
        except LookupError as error:
            raise ConfigError(f"tracking.{name}: {error}") from error
        except Sb3ExtError:
            raise
        except ValueError as error:
            raise ConfigError(f"tracking.{name}: {' '.join(str(error).split())}") from error
        except Exception as error:
            raise ConfigError(f"tracking.{name}: cannot be made: {describe_error(error)}") from error
    return trackers
