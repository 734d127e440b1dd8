"""When a study gives up: too many failed trials in a row."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from sb3_ext.errors import TuningError
from sb3_ext.tuning.study import ERROR


class FailureWatch:
    """
    Counts failed trials without another end between them, from the making of this object on.

    :param limit: at how many the study gives up
    :param trials: of the study, as they are now
    """

    def __init__(self, limit: int, trials: Sequence[FrozenTrial]) -> None:
        self._limit = limit
        self._earlier = {trial.number for trial in trials if trial.state.is_finished()}

    def check(self, trials: Sequence[FrozenTrial]) -> None:
        """
        :param trials: of the study, as they are now
        :raises TuningError: if the last trials have all failed
        """
        ended = [
            (trial.datetime_complete, trial.number, trial)
            for trial in trials
            if trial.datetime_complete is not None and trial.number not in self._earlier
        ]
        last = [trial for _, _, trial in sorted(ended, key=lambda item: item[:2])[-self._limit :]]
        if len(last) == self._limit and all(trial.state == TrialState.FAIL for trial in last):
            numbers = ", ".join(str(trial.number) for trial in last)
            error = last[-1].user_attrs.get(ERROR, "no reason was recorded")
            raise TuningError(
                f"{self._limit} trials in a row failed ({numbers}): the study stops; the last error: "
                f"{error}\nFix the cause and run the same command again, or raise tune.max_failures_in_a_row"
            )
