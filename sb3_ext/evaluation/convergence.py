"""
Rules that detect when training has converged or stopped improving, updated with one return at a time.

Differences are absolute, since a threshold relative to the return would have the wrong sign for negative returns.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean
from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.config.evaluation_schema import PlateauConfig, TargetConfig
from sb3_ext.ranges import Finite, NonNegative, NonNegativeInt, PositiveInt

_TARGET, _PLATEAU = TargetConfig.model_construct(), PlateauConfig()


class ConvergenceRule:
    """
    Met when the mean of the last ``window`` returns has reached ``target`` at ``patience`` consecutive checks.

    Once the window is full, each new return is a check.

    :param target: mean return to reach
    :param window: number of returns to average
    :param patience: number of consecutive checks at which the target must be reached
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(
        self, target: Finite, window: PositiveInt = _TARGET.window, patience: PositiveInt = _TARGET.patience
    ) -> None:
        self._target = target
        self._patience = patience
        self._returns: deque[float] = deque(maxlen=window)
        self._checks_held = 0
        self.best_average: float | None = None
        """The highest average of a full window so far."""

    def update(self, episode_return: float) -> bool:
        """
        :param episode_return: return of the next episode, or mean return of the next evaluation
        :return: whether the rule is met
        """
        self._returns.append(episode_return)
        if len(self._returns) == self._returns.maxlen:
            average = fmean(self._returns)
            self._checks_held = self._checks_held + 1 if average >= self._target else 0
            if _is_better(average, self.best_average):
                self.best_average = average
        return self.is_met

    @property
    def is_met(self) -> bool:
        """Whether the rule is met now."""
        return self._checks_held >= self._patience

    def describe(self, unit: str, name: str = "mean return") -> str:
        """
        :param unit: source of the returns: ``episodes`` or ``evaluations``
        :param name: what is averaged
        :return: the latest average and the target, for messages
        """
        average = f"{fmean(self._returns):.2f}" if self._returns else "unknown"
        return f"{name} {average} of the last {len(self._returns)} {unit}, target {self._target:g}"

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            "returns": list(self._returns),
            "checks_held": self._checks_held,
            "best_average": self.best_average,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. A window that has become smaller keeps the latest returns."""
        self._returns = deque(state["returns"], self._returns.maxlen)
        self._checks_held = state["checks_held"]
        self.best_average = state["best_average"]


class PlateauRule:
    """
    Met when no average has exceeded the best one by more than ``min_delta`` for ``patience`` consecutive checks.

    The best average is replaced only by such an improvement, so small improvements count once their sum exceeds
    ``min_delta``.

    :param patience: number of consecutive checks without an improvement
    :param min_delta: smallest increase over the best average that counts as an improvement
    :param in_standard_errors: ``min_delta`` is in standard errors of the newest average, not in units of return
    :param warm_up: number of initial checks that do not count towards ``patience``
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(
        self,
        patience: PositiveInt = _PLATEAU.patience,
        min_delta: NonNegative = _PLATEAU.min_delta,
        *,
        in_standard_errors: bool = _PLATEAU.in_standard_errors,
        warm_up: NonNegativeInt = _PLATEAU.warm_up,
    ) -> None:
        self._patience = patience
        self._min_delta = min_delta
        self._in_standard_errors = in_standard_errors
        self._warm_up = warm_up
        self._checks = 0
        self._checks_without_improvement = 0
        self.best_average: float | None = None
        """The best average, which an improvement must exceed by more than ``min_delta``."""

    def update(self, average: float, standard_error: float | None = None) -> bool:
        """
        :param average: mean return of the next window of episodes, or of the next evaluation
        :param standard_error: standard error of ``average``; ``None`` if unknown, which counts as 0
        :return: whether the rule is met
        """
        self._checks += 1
        delta = self._min_delta * (standard_error or 0.0) if self._in_standard_errors else self._min_delta
        if _is_better(average - delta, self.best_average):
            self.best_average = average
            self._checks_without_improvement = 0
        elif self._checks > self._warm_up:
            self._checks_without_improvement += 1
        return self._checks_without_improvement >= self._patience

    def describe(self, unit: str) -> str:
        """
        :param unit: source of the returns: ``episodes`` or ``evaluations``
        :return: the best average and the number of checks without an improvement, for messages
        """
        best = "unknown" if self.best_average is None else f"{self.best_average:.2f}"
        return f"no mean return of {unit} above {best} at {self._checks_without_improvement} checks in a row"

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            "checks": self._checks,
            "checks_without_improvement": self._checks_without_improvement,
            "best_average": self.best_average,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._checks = state["checks"]
        self._checks_without_improvement = state["checks_without_improvement"]
        self.best_average = state["best_average"]


def _is_better(average: float, best_average: float | None) -> bool:
    return not math.isnan(average) and (best_average is None or average > best_average)
