"""Stop when the target is reached, and held."""

from __future__ import annotations

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.stop_callback import AtBoundary
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.callbacks.stops.return_stop import ReturnStopCallback
from sb3_ext.config.evaluation_schema import TargetConfig
from sb3_ext.evaluation.convergence import ConvergenceRule
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.ranges import Finite, PositiveInt

_DEFAULTS = TargetConfig.model_construct()


class ConvergenceStopCallback(ReturnStopCallback[ConvergenceRule]):
    """
    Ends training, for the reason ``converged``, when the average of the latest returns has reached a target and held
    it.

    Every finished episode of training is a check of the average over the last ``window`` of them. With
    ``evaluations``, every evaluation is a check of the average over the last ``window`` mean returns.

    :param target: the average return to reach
    :param window: how many episodes, or evaluations, are averaged
    :param patience: at how many checks in a row the target must be held
    :param evaluations: watch what this callback finds, in place of training's episodes
    :param at_boundary: stop only between two rollouts
    :raises ValueError: if a number is out of its range
    """

    state_key = "convergence_stop"

    @validate_arguments
    def __init__(
        self,
        target: Finite,
        window: PositiveInt = _DEFAULTS.window,
        patience: PositiveInt = _DEFAULTS.patience,
        *,
        evaluations: EvaluationCallback | None = None,
        at_boundary: AtBoundary = False,
    ) -> None:
        rule = ConvergenceRule(target, window, patience)
        super().__init__("converged", rule, evaluations, at_boundary=at_boundary)
        self._target = target
        self._window = window
        self._patience = patience

    def _describe_rule(self) -> str:
        watched = "episode" if self._watches_episodes else "evaluation"
        held = f"the mean of the last {self._window} {watched}s is {self._target:g} or more"
        return f"{held} at {self._patience} checks in a row, one check after every {watched}"

    def _add_episode(self, episode_return: float) -> bool:
        return self._rule.update(episode_return)

    def _add_evaluation(self, evaluation: Evaluation) -> bool:
        return self._rule.update(evaluation.mean_return)
