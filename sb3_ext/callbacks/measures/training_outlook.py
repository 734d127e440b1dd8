"""Estimate how much of a training is done, and the time left, from all of its bounds."""

from __future__ import annotations

from collections.abc import Sequence

from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.callbacks.measures.throughput import Throughput


class TrainingOutlook:
    """
    Estimate speed, finished share and time left. The bound that ends the training first decides.

    :param total_steps: step at which training ends; ``None`` if unknown
    :param budgets: further bounds
    """

    def __init__(self, total_steps: int | None = None, budgets: Sequence[Budget] = ()) -> None:
        self._total_steps = total_steps
        self._budgets = budgets
        self.restart()

    def restart(self) -> None:
        """Forget the speed so far."""
        self._step = 0
        self._steps = Throughput()
        self._shares = [Throughput() for _ in self._budgets]

    def add(self, now_seconds: float, step: int) -> None:
        """
        Add a sample of all bounds.

        :param now_seconds: time of a monotonic clock
        :param step: environment transitions so far
        """
        self._step = step
        self._steps.add(now_seconds, step)
        for budget, share in zip(self._budgets, self._shares, strict=True):
            share.add(now_seconds, budget.used_share)

    @property
    def fps(self) -> float | None:
        """Environment transitions per second; ``None`` with fewer than two samples."""
        return self._steps.rate

    @property
    def used_share(self) -> float | None:
        """Finished share of the nearest bound, at most 1; ``None`` without a bound."""
        shares = [budget.used_share for budget in self._budgets]
        if self._total_steps is not None:
            shares.append(self._step / self._total_steps)
        return min(max(shares), 1.0) if shares else None

    @property
    def nearest_total_steps(self) -> int | None:
        """Step at which training ends, if that is the nearest bound."""
        if self._total_steps is None or any(
            budget.used_share > self._step / self._total_steps for budget in self._budgets
        ):
            return None
        return self._total_steps

    def estimate_eta_seconds(self, *, has_ended: bool = False) -> float | None:
        """
        Estimate the time left at the current speed.

        :param has_ended: whether training has ended, perhaps before its bounds
        :return: seconds until the first bound; ``None`` if unknown
        """
        found = [share.estimate_eta_seconds(1.0, has_ended=has_ended) for share in self._shares]
        found.append(self._steps.estimate_eta_seconds(self._total_steps, has_ended=has_ended))
        return min((seconds for seconds in found if seconds is not None), default=None)
