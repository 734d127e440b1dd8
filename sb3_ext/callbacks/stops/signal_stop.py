"""Stop on a signal."""

from __future__ import annotations

from pathlib import Path
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
    :param stop_file: if this file exists, the reason is ``stop file``: ``sb3-ext runs stop`` creates it before it sends
        a signal
    """

    is_patient = True

    def __init__(
        self, signals: ReceivesSignals, *, at_boundary: AtBoundary = False, stop_file: Path | str | None = None
    ) -> None:
        super().__init__(at_boundary=at_boundary)
        self._signals = signals
        self._stop_file = None if stop_file is None else Path(stop_file)

    def _find_stop_reason(self) -> str | None:
        received = self._signals.received
        if received is None:
            return None
        return "stop file" if self._stop_file is not None and self._stop_file.exists() else f"signal {received}"
