"""Stop when a signal was received."""

from __future__ import annotations

from typing import Protocol

from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback


class ReceivesSignals(Protocol):
    """
    Whatever notes signals for the training loop to obey.

    ``received`` is the signal's name, ``"SIGTERM"`` say, or ``None`` as long as none came.
    """

    @property
    def received(self) -> str | None: ...


class SignalStopCallback(StopCallback):
    """
    Ends training after a signal, for the reason ``signal SIGTERM`` (or whichever it was).

    :param signals: notes the signals; installing the handlers is its business
    :param at_boundary: stop only between two rollouts
    """

    is_patient = True

    def __init__(self, signals: ReceivesSignals, *, at_boundary: AtBoundary = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._signals = signals

    def _find_stop_reason(self) -> str | None:
        received = self._signals.received
        return None if received is None else f"signal {received}"
