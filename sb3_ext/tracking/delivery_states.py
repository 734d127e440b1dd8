"""``tracking/state.json``: for each tracker the id of its run, and how much of the journal it was sent."""

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
    The delivery state of a tracker.

    :param id: the tracker's id of the run; ``None`` if it has none yet
    :param url: URL of the run; ``None`` if there is none
    :param position: number of the first record of the journal that was not sent
    :param logged: number of metrics records that were sent
    :param refused: records with files or models that the service refused
    :param parent_id: id of the tracker's run from which this one branched, or which it replaces after a rewind
    :param parent_step: step of the branch or rewind
    """

    id: str | None = None
    url: str | None = None
    position: int = 0
    logged: int = 0
    refused: tuple[dict[str, Any], ...] = ()
    parent_id: str | None = None
    parent_step: int | None = None

    def branch(self, step: int) -> DeliveryState:
        """
        :param step: step at which the new run branches
        :return: the state of a new run without records, with this run as its parent
        """
        return DeliveryState(parent_id=self.id, parent_step=step)


class DeliveryStates:
    """
    The delivery states in ``tracking/state.json``. Threads may change the states of different trackers concurrently.

    :param path: path of the file, which need not exist yet
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
        :param name: name of the tracker
        :param changes: new values of the fields of :class:`DeliveryState`
        :raises OSError: if the disk is full or fails
        """
        self.set(name, replace(self.get(name), **changes))

    def set(self, name: str, state: DeliveryState) -> None:
        """
        :param name: name of the tracker
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
    :param path: path of the file
    :return: states by name of the tracker; empty if the file does not exist
    """
    if not path.exists():
        return {}
    content = json.loads(path.read_bytes())
    return {name: DeliveryState(**{**state, "refused": tuple(state["refused"])}) for name, state in content.items()}


def branch_states(source: Path, target: Path, step: int) -> None:
    """
    Write the states of a run that branches from another one: its trackers begin new runs whose parents are the tracker
    runs of the other run.

    :param source: state file of the other run
    :param target: state file of the new run
    :param step: step at which the new run branches
    """
    states = DeliveryStates(target)
    for name, state in load_states(source).items():
        states.set(name, state.branch(step))
