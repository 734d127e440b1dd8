"""Let schedules and exploration follow a budget of episodes or time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

from stable_baselines3.common.base_class import BaseAlgorithm


class Budget(Protocol):
    """A callback that ends training by a budget, such as :class:`EpisodeBudgetCallback`."""

    @property
    def used_share(self) -> float:
        """Used share of the budget; 1 or more when it is used up."""


class EstimatedSteps(int):
    """
    Total steps for ``learn`` when a budget of episodes or time ends training.

    SB3 computes the progress that schedules and DQN's exploration follow as ``steps / float(total_timesteps)``. As an
    integer this is ``most_steps``, where ``learn`` ends; as a float it is the total that the used shares predict, so
    that the progress is the largest of the shares of ``most_steps`` and of the budgets::

        budget = EpisodeBudgetCallback(60)
        model.learn(EstimatedSteps(model, [budget]), callback=budget)

    A saved model contains it as a plain integer.

    :param model: the model that is trained
    :param budgets: callbacks that are also passed to ``learn``
    :param most_steps: maximum number of steps; practically unlimited by default
    """

    def __new__(cls, model: BaseAlgorithm, budgets: Sequence[Budget], most_steps: int = sys.maxsize) -> EstimatedSteps:
        """:return: the integer ``most_steps``"""
        steps = super().__new__(cls, most_steps)
        steps._model = model
        steps._budgets = tuple(budgets)
        return steps

    _model: BaseAlgorithm
    _budgets: tuple[Budget, ...]

    def __float__(self) -> float:
        most_steps = float(int(self))
        step = self._model.num_timesteps
        used = min(1.0, max(budget.used_share for budget in self._budgets))
        return min(most_steps, step / used) if step and used else most_steps

    def __add__(self, steps: int) -> EstimatedSteps:
        # learn() adds the steps of earlier calls.
        return type(self)(self._model, self._budgets, int(self) + steps)
