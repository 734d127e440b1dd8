"""Base class for callbacks that stop training by a rule on returns."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any, Generic, TypeVar

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.evaluation.convergence import ConvergenceRule, PlateauRule
from sb3_ext.evaluation.evaluate import Evaluation

logger = logging.getLogger(__name__)

Rule = TypeVar("Rule", bound=ConvergenceRule | PlateauRule)


class ReturnStopCallback(StopCallback, EpisodeCallback, Generic[Rule]):
    """
    Stop training when the returns of training episodes, or of evaluations, meet a rule.

    :param reason: reason for the stop
    :param rule: the rule
    :param evaluations: use the evaluations of this callback instead of training episodes
    :param at_boundary: stop only between two rollouts
    """

    def __init__(
        self, reason: str, rule: Rule, evaluations: EvaluationCallback | None, *, at_boundary: AtBoundary
    ) -> None:
        super().__init__(at_boundary=at_boundary)
        self._reason = reason
        self._rule = rule
        self._is_met = False
        self._watches_episodes = evaluations is None
        if evaluations is not None:
            evaluations.on_evaluation.append(self._on_evaluation)

    @property
    def best_average(self) -> float | None:
        """The highest mean return so far; ``None`` before the first check."""
        return self._rule.best_average

    @abstractmethod
    def _describe_rule(self) -> str:
        """:return: the rule and how often it is checked, for the log"""

    @abstractmethod
    def _add_episode(self, episode_return: float) -> bool:
        """:return: whether the rule is met"""

    @abstractmethod
    def _add_evaluation(self, evaluation: Evaluation) -> bool:
        """:return: whether the rule is met"""

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "rule": self._rule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._rule.load_state_dict(state["rule"])

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._is_met = False
        logger.info("early stopping (%s): %s", self._reason, self._describe_rule())

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        if not self._watches_episodes:
            return
        if episode_return is None:
            raise ValueError(
                f"{type(self).__name__} needs the returns of training episodes, but the environments have no monitor: "
                "wrap each in a Monitor, or all in a VecMonitor"
            )
        # Once met, the rule stays met until training ends.
        self._is_met = self._is_met or self._add_episode(episode_return)

    def _on_evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._is_met = self._is_met or self._add_evaluation(evaluation)

    def _find_stop_reason(self) -> str | None:
        return self._reason if self._is_met else None

    def _explain_stop(self) -> str:
        return self._rule.describe("episodes" if self._watches_episodes else "evaluations")
