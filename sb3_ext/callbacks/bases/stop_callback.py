"""Base class for callbacks that end training."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable

from sb3_ext.callbacks.bases.light_callback import LightCallback, has_stock_loop

logger = logging.getLogger(__name__)

AtBoundary = bool | Callable[[], bool]
"""Whether to stop only between two rollouts; a function is called when there is a reason to stop."""


class TrainingStopped(Exception):
    """
    Stop a training loop that ignores what callbacks return (ARS), or stop exactly between two rollouts.

    :param reason: why training was stopped
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"training was stopped: {reason}")


class StopCallback(LightCallback):
    """
    Stop training when :meth:`_find_stop_reason` returns a reason.

    The reason is in ``stop_reason``, details in ``stop_detail``. ``learn`` returns normally, except for algorithms with
    a training loop of their own, such as ARS, which ignores what callbacks return: there :class:`TrainingStopped` is
    raised.

    :param at_boundary: stop only between two rollouts, after the update, so that the model can be trained further from
        there. By default training stops at once, as with SB3's own callbacks. A function is called when there is a
        reason to stop
    """

    def __init__(self, *, at_boundary: AtBoundary = False) -> None:
        super().__init__()
        self.stop_reason: str | None = None
        self.stop_detail: str | None = None
        self._at_boundary = at_boundary
        self._has_passed_boundary = False

    @abstractmethod
    def _find_stop_reason(self) -> str | None:
        """
        Return the reason to stop training. Called at every step, so it must be fast.

        :return: the reason; ``None`` to continue
        """

    def _explain_stop(self) -> str:
        """:return: the numbers behind the reason; empty if there are none"""
        return ""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self.stop_reason = self.stop_detail = None
        self._has_passed_boundary = False

    def find_reason_between_rollouts(self) -> str | None:
        """
        Look for a reason to stop between two rollouts, for example during an evaluation.

        :return: the reason, which is also stored in ``stop_reason``; ``None`` to continue
        """
        self._look_for_reason()
        self._has_passed_boundary = self.stop_reason is not None
        return self.stop_reason

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self.find_reason_between_rollouts()

    def _on_step(self) -> bool:
        super()._on_step()
        self._look_for_reason(is_in_rollout=True)
        if self.stop_reason is None or (self._waits_for_boundary() and not self._has_passed_boundary):
            return True
        if not has_stock_loop(self.model):
            name = type(self.model).__name__
            logger.warning("%s ignores what callbacks return; TrainingStopped is raised to end training", name)
            raise TrainingStopped(self.stop_reason)
        return False

    def _waits_for_boundary(self) -> bool:
        return self._at_boundary() if callable(self._at_boundary) else self._at_boundary

    def _look_for_reason(self, *, is_in_rollout: bool = False) -> None:
        if self.stop_reason is not None:
            return
        self.stop_reason = self._find_stop_reason()
        if self.stop_reason is None:
            return
        self.stop_detail = self._explain_stop() or None
        step = self.model.num_timesteps
        reason = ": ".join(filter(None, [self.stop_reason, self.stop_detail]))
        if is_in_rollout and self._waits_for_boundary():
            logger.info("at step %d: %s; training ends after this rollout and its update", step, reason)
        else:
            logger.info("stopping at step %d: %s", step, reason)
