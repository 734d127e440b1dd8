"""
When something is due: pure counters aligned to multiples of their interval.

A trigger fires when the counter reaches or passes the next multiple, however large the stride (one ``VecEnv``
step adds many transitions). Because multiples do not move, a resumed run fires where the uninterrupted one would.
"""

from __future__ import annotations


class _EveryMultiple:
    """
    Fires once for each time that the counter reaches or passes a multiple of ``interval``.

    :param interval: distance between two firings, in the counter's unit; must be positive
    :param start: where the counter stands now; multiples up to it count as fired
    :raises ValueError: if ``interval`` is not positive
    """

    def __init__(self, interval: float, start: float = 0) -> None:
        if interval <= 0:
            raise ValueError(f"interval must be positive, but got {interval}")
        self.interval = interval
        self.skip_to(start)

    def skip_to(self, count: float) -> None:
        """
        Take every multiple up to ``count`` as fired: what a resume does.

        :param count: where the counter stands
        """
        self._fired_multiples = int(count // self.interval)

    def is_due(self, count: float) -> bool:
        """
        Whether a multiple was reached since the last time this was true. Several passed at once fire once.

        :param count: where the counter stands
        :return: ``True`` once per reached multiple
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
    """Counts elapsed seconds of training, earlier stretches of a resumed run included."""
