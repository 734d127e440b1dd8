"""Rule that tells when the next stage of a curriculum begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sb3_ext.config.curriculum_schema import ConditionConfig
from sb3_ext.evaluation.convergence import ConvergenceRule

_RETURN, _SUCCESS_RATE = "return", "success_rate"
_WORDS = {_RETURN: "mean return", _SUCCESS_RATE: "success rate"}
FROM_THE_START = "from the start"


class StageRule:
    """
    Met when one of several conditions holds; always met without any.

    :param conditions: the conditions
    """

    def __init__(self, conditions: Sequence[ConditionConfig]) -> None:
        self._checks = [_Check(condition) for condition in conditions]

    def add_episode(self, episode_return: float | None, is_success: float | None) -> None:
        """
        :param episode_return: return of a training episode; ``None`` if unknown
        :param is_success: whether it was a success, as a number; ``None`` if unknown
        """
        self._add("training_return", {_RETURN: episode_return, _SUCCESS_RATE: is_success})

    def add_evaluation(self, mean_return: float, success_rate: float | None) -> None:
        """
        :param mean_return: of an evaluation
        :param success_rate: of an evaluation; ``None`` if unknown
        """
        self._add("evaluation", {_RETURN: mean_return, _SUCCESS_RATE: success_rate})

    def explain(self, step: int, stage_steps: int) -> str | None:
        """
        :param step: transitions of the whole training
        :param stage_steps: transitions since the stage before has begun
        :return: the numbers of the condition that holds; ``None`` if none does
        """
        if not self._checks:
            return FROM_THE_START
        return next((check.describe() for check in self._checks if check.is_met(step, stage_steps)), None)

    def needs(self, name: str) -> bool:
        """
        :param name: ``return`` or ``success_rate``
        :return: whether a condition depends on this measure of training episodes
        """
        return any(name in check.rules for check in self._checks if check.condition.by == "training_return")

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {"checks": [{name: rule.state_dict() for name, rule in check.rules.items()} for check in self._checks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        for check, saved in zip(self._checks, state["checks"], strict=True):
            for name, rule in check.rules.items():
                rule.load_state_dict(saved[name])

    def _add(self, source: str, values: dict[str, float | None]) -> None:
        for check in self._checks:
            if check.condition.by == source:
                for name, rule in check.rules.items():
                    value = values[name]
                    if value is not None:
                        rule.update(value)


class _Check:
    """One condition, with a rule for each mean that it needs."""

    def __init__(self, condition: ConditionConfig) -> None:
        self.condition = condition
        window, patience = condition.window_length, condition.patience
        self.rules = {name: ConvergenceRule(target, window, patience) for name, target in condition.measures.items()}

    def is_met(self, step: int, stage_steps: int) -> bool:
        steps, least = self.condition.steps, self.condition.stage_steps
        is_late_enough = (steps is None or step >= steps) and (least is None or stage_steps >= least)
        return is_late_enough and all(rule.is_met for rule in self.rules.values())

    def describe(self) -> str:
        unit = "evaluations" if self.condition.by == "evaluation" else "episodes"
        parts = [rule.describe(unit, _WORDS[name]) for name, rule in self.rules.items()]
        if self.condition.steps is not None:
            parts.append(f"{self.condition.steps:,} steps")
        if self.condition.stage_steps is not None:
            parts.append(f"{self.condition.stage_steps:,} steps in the stage before")
        return "; ".join(parts)
