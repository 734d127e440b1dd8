"""
Triggers that fire at multiples of an interval.

A trigger fires when the counter reaches or passes the next multiple, however large the increment (one ``VecEnv`` step
adds many transitions). So a resumed run fires at the same counts as an uninterrupted one.
"""

from __future__ import annotations


class _EveryMultiple:
    """
    Fires when the counter reaches or passes a multiple of ``interval``.

    :param interval: distance between two multiples, in the counter's unit; must be positive
    :param start: the current count; multiples up to it count as fired
    :raises ValueError: if ``interval`` is not positive
    """

    def __init__(self, interval: float, start: float = 0) -> None:
        if interval <= 0:
            raise ValueError(f"interval must be positive, but got {interval}")
        self.interval = interval
        self.skip_to(start)

    def skip_to(self, count: float) -> None:
        """
        Treat every multiple up to ``count`` as fired, as after a resume.

        :param count: the current count
        """
        self._fired_multiples = int(count // self.interval)

    def is_due(self, count: float) -> bool:
        """
        Return whether a multiple was reached since the last time. Several multiples passed at once fire once.

        :param count: the current count
        """
        multiples = int(count // self.interval)
        if multiples <= self._fired_multiples:
            return False
        self._fired_multiples = multiples
        return True


class EverySteps(_EveryMultiple):
    """Counts environment transitions, summed over all environments (SB3's ``num_timesteps``)."""


class EveryEpisodes(_EveryMultiple):
    """Counts finished episodes, summed over all environments."""


class EverySeconds(_EveryMultiple):
    """Counts elapsed seconds of training, including those before a resume."""
