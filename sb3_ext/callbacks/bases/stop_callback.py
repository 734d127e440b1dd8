"""What every callback that ends training has in common: a reason, a moment, and a way to end a deaf loop."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable

from sb3_ext.callbacks.bases.light_callback import LightCallback, heeds_callbacks

logger = logging.getLogger(__name__)

AtBoundary = bool | Callable[[], bool]
"""Whether to stop only between two rollouts, or a function that knows at the moment."""


class TrainingStopped(Exception):
    """
    Ends ``learn`` where the algorithm's loop ignores what callbacks return, as that of ARS does.

    :param reason: why training was stopped
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"training was stopped: {reason}")


class StopCallback(LightCallback):
    """
    Ends training once :meth:`_find_stop_reason` gives a reason, which is then in ``stop_reason``; ``stop_detail`` says
    more about it, where there is more to say.

    ``learn`` returns normally, except where the algorithm is neither one of SB3's on-policy nor of its off-policy
    ones: the loop of ARS ignores what callbacks return, so there :class:`TrainingStopped` is raised through it.

    :param at_boundary: stop only between two rollouts: the update is then finished and the model can be continued
        from there. The default stops at once, as SB3's own callbacks do, in the middle of a rollout. A function is
        asked when it matters
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
        Say whether training is to end now. Called at every step, so it must be cheap.

        :return: the reason to stop, ``None`` to go on
        """

    def _explain_stop(self) -> str:
        """:return: the numbers behind the reason that was just found; empty where the reason says it all"""
        return ""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self.stop_reason = self.stop_detail = None
        self._has_passed_boundary = False

    def find_reason_between_rollouts(self) -> str | None:
        """
        Say between two rollouts whether training is to end there; for what takes time there, such as an evaluation.

        :return: the reason, which is then in ``stop_reason``; ``None`` to go on
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
        if not heeds_callbacks(self.model):
            name = type(self.model).__name__
            logger.warning("%s ignores what callbacks return: training ends by an exception, TrainingStopped", name)
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
