"""Stop when a tuner prunes the trial."""

from __future__ import annotations

from typing import Protocol

from stable_baselines3.common.callbacks import EvalCallback

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.ranges import PositiveInt

PRUNED = "pruned"
"""The reason why a pruned training ends."""


class PrunableTrial(Protocol):
    """An ``optuna.Trial``, or an object with the same two methods."""

    def report(self, value: float, step: int) -> None:
        """
        :param value: mean return of an evaluation
        :param step: environment transitions so far
        """

    def should_prune(self) -> bool:
        """:return: whether to stop the training"""


class TrialPruningCallback(StopCallback):
    """
    Report every evaluation to an Optuna trial, and stop training, with the reason ``pruned``, when the trial should be
    pruned. An objective function then raises ``optuna.TrialPruned``::

        evaluation = EvaluationCallback(make_evaluation_envs, every_steps=10_000)
        pruning = TrialPruningCallback(trial, evaluation, every_steps=10_000)
        model.learn(100_000, callback=[evaluation, pruning])
        if pruning.is_pruned:
            raise optuna.TrialPruned

    :param trial: an ``optuna.Trial``
    :param evaluation: an ``EvaluationCallback`` or SB3's ``EvalCallback``, which must come before this callback
    :param every_steps: round the reported step down to a multiple of this. Evaluations wait for the end of a rollout,
        whose length may differ between trials, but pruners compare trials at the same step; ``None`` does not round
    :param at_boundary: stop only between two rollouts
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(
        self,
        trial: PrunableTrial,
        evaluation: EvaluationCallback | EvalCallback,
        *,
        every_steps: PositiveInt | None = None,
        at_boundary: AtBoundary = False,
    ) -> None:
        super().__init__(at_boundary=at_boundary)
        self.is_pruned = False
        self._trial = trial
        self._every_steps = every_steps
        self._stock_evaluation = evaluation if isinstance(evaluation, EvalCallback) else None
        if isinstance(evaluation, EvaluationCallback):
            evaluation.on_evaluation.append(self._on_evaluation)

    def _on_evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._report(evaluation.mean_return, step)
        if self.is_pruned:  # evaluated between two rollouts: no need to wait for the next boundary
            self.find_reason_between_rollouts()

    def _on_step(self) -> bool:
        stock = self._stock_evaluation
        if stock is not None and stock.eval_freq > 0 and stock.n_calls % stock.eval_freq == 0:
            self._report(float(stock.last_mean_reward), self.num_timesteps)
        return super()._on_step()

    def _report(self, mean_return: float, step: int) -> None:
        if self._every_steps is not None:
            step -= step % self._every_steps
        self._trial.report(mean_return, step)
        self.is_pruned = self.is_pruned or self._trial.should_prune()

    def _find_stop_reason(self) -> str | None:
        return PRUNED if self.is_pruned else None
