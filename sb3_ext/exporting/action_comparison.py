"""Compare the actions of an exported agent with those of ``predict``."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_ext.errors import ExportError

CHECKED_OBSERVATIONS = 1_000
"""Number of observations of the environment for which the actions are compared."""

ACTION_TOLERANCE = 1e-4
"""Largest difference of a continuous action, in widths of its range; a width is at least 1, and 1 if it is infinite."""

TIE_TOLERANCE = 1e-5
"""
Two actions are equally good if their probabilities differ by less, or their values by less times the largest value (at
least 1): rounding then decides which one is chosen.
"""


class ActionComparison:
    """
    Counts actions that differ.

    :param space: of the actions
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self._space = space
        #: number of observations so far
        self.observations = 0
        #: for how many of them another action was chosen that is equally good, see :data:`TIE_TOLERANCE`
        self.near_ties = 0
        #: for how many of them the action is different
        self.differing = 0
        #: of continuous actions, in the unit of :data:`ACTION_TOLERANCE`
        self.largest_difference = 0.0

    def add(
        self,
        found: NDArray[Any],
        expected: NDArray[Any],
        preferences: NDArray[Any] | None = None,
        *,
        are_values: bool = False,
    ) -> None:
        """
        :param found: actions of the exported agent, shape ``(batch, ...)``
        :param expected: actions of ``predict``, same shape
        :param preferences: probabilities of all actions or their values, shape ``(batch, numbers)``
        :param are_values: whether the preferences are values
        """
        self.observations += len(expected)
        if isinstance(self._space, spaces.Box):
            width = np.maximum(self._space.high.astype(np.float64) - self._space.low, 1.0)
            width[~np.isfinite(width)] = 1.0
            difference = (np.abs(found.astype(np.float64) - expected) / width).reshape(len(expected), -1).max(axis=1)
            self.largest_difference = max(self.largest_difference, float(difference.max()))
            self.differing += int((difference > ACTION_TOLERANCE).sum())
            return
        for row in np.flatnonzero((found != expected).reshape(len(expected), -1).any(axis=1)).tolist():
            if preferences is not None and self._is_tie(found[row], expected[row], preferences[row], are_values):
                self.near_ties += 1
            else:
                self.differing += 1

    def check(self) -> None:
        """
        :raises ExportError: if actions differ
        """
        if self.differing:
            raise ExportError(
                f"the exported agent does not act like `predict`: its actions differ for {self.differing} of "
                f"{self.observations:,} observations; nothing was written"
            )

    def describe(self) -> str:
        """:return: the result in words"""
        text = f"same actions as `predict` for {self.observations:,} observations"
        if self.near_ties:
            text += f", of which {self.near_ties} are near ties"
        if self.largest_difference:
            text += f", up to {self.largest_difference:.1g} of their range"
        return text

    def _is_tie(self, found: NDArray[Any], expected: NDArray[Any], preferences: NDArray[Any], are_values: bool) -> bool:
        scale = max(1.0, float(np.abs(preferences).max())) if are_values else 1.0
        parts = split_preferences(self._space, preferences.astype(np.float64))
        pairs = zip(parts, np.ravel(found).astype(int), np.ravel(expected).astype(int), strict=True)
        return all(abs(part[ours] - part[theirs]) <= TIE_TOLERANCE * scale for part, ours, theirs in pairs)


def split_preferences(space: spaces.Space[Any], preferences: NDArray[Any]) -> list[NDArray[Any]]:
    """
    :param space: of the actions
    :param preferences: of one observation, in one vector
    :return: for each part of the action, the preferences of its values
    """
    if isinstance(space, spaces.MultiDiscrete):
        return np.split(preferences, np.cumsum(space.nvec.ravel())[:-1])
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        # Probabilities of 0 and 1, or of 1 alone.
        return list(
            preferences.reshape(size, 2)
            if preferences.size == 2 * size
            else np.stack([1 - preferences, preferences], 1)
        )
    return [preferences]
