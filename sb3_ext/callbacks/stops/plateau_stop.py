"""Stop when the mean return stops improving."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.stop_callback import AtBoundary
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.callbacks.stops.return_stop import ReturnStopCallback
from sb3_ext.config.evaluation_schema import PlateauConfig
from sb3_ext.evaluation.convergence import PlateauRule
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.ranges import NonNegative, NonNegativeInt, PositiveInt
from sb3_ext.reports.intervals import compute_standard_error

_DEFAULTS = PlateauConfig()


class PlateauStopCallback(ReturnStopCallback[PlateauRule]):
    """
    Stop training, with the reason ``plateau``, when the mean return stops improving.

    The mean of every ``window`` training episodes is checked once; windows do not overlap, since one lucky episode
    would then affect many checks. With ``evaluations``, the mean return is checked after every evaluation.

    :param patience: number of consecutive checks without an improvement
    :param min_delta: smallest increase over the best mean that counts as an improvement
    :param in_standard_errors: ``min_delta`` is in standard errors of the newest mean, not in units of return
    :param warm_up: number of initial checks that do not count towards ``patience``
    :param window: number of episodes to average for a check
    :param evaluations: use the evaluations of this callback instead of training episodes
    :param at_boundary: stop only between two rollouts
    :raises ValueError: if a number is out of its range
    """

    state_key = "plateau_stop"

    @validate_arguments
    def __init__(
        self,
        patience: PositiveInt = _DEFAULTS.patience,
        min_delta: NonNegative = _DEFAULTS.min_delta,
        *,
        in_standard_errors: bool = _DEFAULTS.in_standard_errors,
        warm_up: NonNegativeInt = _DEFAULTS.warm_up,
        window: PositiveInt = _DEFAULTS.window,
        evaluations: EvaluationCallback | None = None,
        at_boundary: AtBoundary = False,
    ) -> None:
        rule = PlateauRule(patience, min_delta, in_standard_errors=in_standard_errors, warm_up=warm_up)
        super().__init__("plateau", rule, evaluations, at_boundary=at_boundary)
        self._patience = patience
        self._window = window
        self._returns: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "returns": self._returns.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._returns = list(state["returns"])

    def _describe_rule(self) -> str:
        frequency = f"every {self._window} episodes" if self._watches_episodes else "every evaluation"
        return f"no improvement in {self._patience} checks in a row, one check after {frequency}"

    def _add_episode(self, episode_return: float) -> bool:
        self._returns.append(episode_return)
        if len(self._returns) < self._window:
            return False
        average, standard_error = fmean(self._returns), compute_standard_error(self._returns)
        self._returns.clear()
        return self._rule.update(average, standard_error)

    def _add_evaluation(self, evaluation: Evaluation) -> bool:
        return self._rule.update(evaluation.mean_return, compute_standard_error(evaluation.returns))
