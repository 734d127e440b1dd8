"""
The process that runs a trial, and whether that process is still running.

On the same machine, process id and start time identify the process. On another machine, a process counts as dead if its
heartbeat, a counter in the trial, has not changed for a while. No clocks are compared.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from sb3_ext.internals.optuna import get_trial_id
from sb3_ext.runs.owner import Owner

logger = logging.getLogger(__name__)

OWNER = "owner"
BEAT = "heartbeat"
BEAT_EVERY_SECONDS = 20.0
STALE_AFTER_SECONDS = 120.0


def describe_owner() -> dict[str, Any]:
    """:return: the calling process, and a mark of its own for this claim, as plain data"""
    return {**dataclasses.asdict(Owner.current()), "namespace": _read_namespace(), "claim": str(uuid.uuid4())}


def get_claim(trial: FrozenTrial) -> str | None:
    """:return: the mark of the process that took the trial last"""
    claim: str | None = (trial.user_attrs.get(OWNER) or {}).get("claim")
    return claim


class Vigil:
    """Finds running trials whose process is gone. Keep the object: it measures how long heartbeats stand still."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, float]] = {}

    def is_abandoned(self, trial: FrozenTrial) -> bool:
        """
        Call this inside the study's exclusion: a process that takes a trial writes itself into the trial there.

        :param trial: a running trial
        :return: whether its process is gone
        """
        owner = trial.user_attrs.get(OWNER)
        if owner is None:
            return True  # its process was killed before it wrote itself into the trial
        is_alive = _is_alive(owner)
        return self._has_stood_still(trial) if is_alive is None else not is_alive

    def _has_stood_still(self, trial: FrozenTrial) -> bool:
        now = time.monotonic()
        sign = (get_claim(trial), trial.user_attrs.get(BEAT))
        known = self._seen.get(get_trial_id(trial))
        if known is None or known[0] != sign:
            self._seen[get_trial_id(trial)] = (sign, now)
            return False
        return now - known[1] > STALE_AFTER_SECONDS


class Heartbeat:
    """
    Beats for a trial, from a thread, inside a ``with`` block.

    :param storage: the study's
    :param trial_id: Optuna's
    :param claim: the mark of this process's claim
    :param on_loss: called once if another process has taken over the trial because this one seemed dead
    :param every_seconds: between two beats
    """

    def __init__(
        self,
        storage: BaseStorage,
        trial_id: int,
        claim: str,
        on_loss: Callable[[], None],
        every_seconds: float = BEAT_EVERY_SECONDS,
    ) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._claim = claim
        self._on_loss = on_loss
        self._every_seconds = every_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="tuning-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _beat(self) -> None:
        beats = 0
        while not self._is_over.wait(self._every_seconds):
            beats += 1
            try:
                if get_claim(self._storage.get_trial(self._trial_id)) != self._claim:
                    raise UpdateFinishedTrialError
                self._storage.set_trial_user_attr(self._trial_id, BEAT, beats)
            except UpdateFinishedTrialError:
                self._on_loss()
                return
            except Exception as error:  # the storage may be back before the heartbeat counts as stopped
                logger.warning("the heartbeat could not be written: %s", error)


def _is_alive(owner: Mapping[str, Any]) -> bool | None:
    """:return: ``None`` if that cannot be seen from here: another machine's, or another container's"""
    try:
        process = Owner(owner["pid"], owner["host"], owner["boot_id"], owner["process_start_ticks"])
    except KeyError:
        return None
    if not process.is_on_this_host() or owner.get("namespace") != _read_namespace():
        return None
    return process.is_alive()


def _read_namespace() -> str | None:
    """Process ids of another container mean nothing here, even if it calls itself by the same host name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
