"""``tracking/state.json``: as whom each tracker knows the run, and how far it has been served."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sb3_ext.atomic import write_json


@dataclass(frozen=True)
class DeliveryState:
    """
    :param id: the tracker's id of the run; ``None`` before it has one
    :param url: where people look at the run
    :param position: how much of the journal the tracker has, in bytes
    :param logged: how many metrics records that are
    :param parent_id: the tracker's run from which this one branched, or which it replaces after a rewind
    :param parent_step: the step at which it did
    """

    id: str | None = None
    url: str | None = None
    position: int = 0
    logged: int = 0
    parent_id: str | None = None
    parent_step: int | None = None

    def branch(self, step: int) -> DeliveryState:
        """
        :param step: where the new run goes another way
        :return: the state of a new run that has this one as its parent, and nothing yet
        """
        return DeliveryState(parent_id=self.id, parent_step=step)


class DeliveryStates:
    """
    The file. Threads may change the states of different trackers at the same time.

    :param path: need not exist yet
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._states = load_states(path)

    def get(self, name: str) -> DeliveryState:
        """:return: the state of a tracker, by its name in the configuration; an empty one if it is new"""
        return self._states.get(name, DeliveryState())

    def update(self, name: str, **changes: Any) -> None:
        """
        :param name: of the tracker
        :param changes: new values of the fields of :class:`DeliveryState`
        :raises OSError: if the disk is full or fails
        """
        self.set(name, replace(self.get(name), **changes))

    def set(self, name: str, state: DeliveryState) -> None:
        """
        :param name: of the tracker
        :param state: its new state
        :raises OSError: if the disk is full or fails
        """
        with self._lock:
            if self._states.get(name) == state:
                return
            self._states[name] = state
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {key: asdict(value) for key, value in self._states.items()}, durable=False)


def load_states(path: Path) -> dict[str, DeliveryState]:
    """
    :param path: of the file
    :return: the states by the trackers' names; none if there is no file
    """
    if not path.exists():
        return {}
    return {name: DeliveryState(**state) for name, state in json.loads(path.read_bytes()).items()}


def branch_states(source: Path, target: Path, step: int) -> None:
    """
    Write the states of a run that branches from another: its trackers begin new runs, with those of the other run as
    parents.

    :param source: the file of the other run
    :param target: the file of the new run
    :param step: where it branches
    """
    states = DeliveryStates(target)
    for name, state in load_states(source).items():
        states.set(name, state.branch(step))
