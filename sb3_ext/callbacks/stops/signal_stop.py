"""Stop on a signal."""

from __future__ import annotations

from typing import Protocol

from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback


class ReceivesSignals(Protocol):
    """
    An object that records received signals.

    ``received`` is the name of the signal, such as ``"SIGTERM"``; ``None`` if there was none.
    """

    @property
    def received(self) -> str | None: ...


class SignalStopCallback(StopCallback):
    """
    Stop training on a signal, with a reason such as ``signal SIGTERM``.

    :param signals: records received signals; its handlers must be installed already
    :param at_boundary: stop only between two rollouts
    """

    is_patient = True

    def __init__(self, signals: ReceivesSignals, *, at_boundary: AtBoundary = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._signals = signals

    def _find_stop_reason(self) -> str | None:
        received = self._signals.received
        return None if received is None else f"signal {received}"
