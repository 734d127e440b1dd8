"""Stop when a loss or a weight is NaN or infinite."""

from __future__ import annotations

import math

from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.checkpoints.model.finiteness import has_finite_weights

_WEIGHTS_EVERY_ROLLOUTS = 100


class NanStopCallback(StopCallback):
    """
    Stop training, with the reason ``nan``, when a loss or a weight is NaN or infinite.

    Losses are checked between rollouts; weights every 100 rollouts, and whenever a loss is not finite.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rollouts = 0
        self._has_nan = False

    def _on_rollout_start(self) -> None:
        self._rollouts += 1
        logged = self.logger.name_to_value
        losses = [value for name, value in logged.items() if name.endswith("loss") and isinstance(value, float)]
        is_suspect = not all(map(math.isfinite, losses)) or self._rollouts % _WEIGHTS_EVERY_ROLLOUTS == 0
        self._has_nan = is_suspect and not (all(map(math.isfinite, losses)) and has_finite_weights(self.model))
        super()._on_rollout_start()

    def _find_stop_reason(self) -> str | None:
        return "nan" if self._has_nan else None
