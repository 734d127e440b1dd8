"""Stop when the mean return has reached a target and stays there."""

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
    Stop training, with the reason ``converged``, when the mean of the latest returns has reached a target and stays
    there.

    The mean over the last ``window`` training episodes is checked after every episode. With ``evaluations``, the mean
    over the last ``window`` mean returns is checked after every evaluation.

    :param target: mean return to reach
    :param window: number of episodes, or evaluations, to average
    :param patience: number of consecutive checks at which the target must be reached
    :param evaluations: use the evaluations of this callback instead of training episodes
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
