"""How a study stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from sb3_ext.tuning.results import rank_trials
from sb3_ext.tuning.study import TuningStudy


@dataclass(frozen=True)
class Progress:
    """
    :param trials: the requested number
    :param complete: trials that have a value
    :param pruned: trials that were ended early
    :param failed: trials that have an error
    :param running: those that are on their way
    :param waiting: trials that wait to be started or continued
    :param best: the best so far
    :param elapsed_seconds: since this command began
    :param eta_seconds: the time that the rest will take, at the pace of this command so far
    """

    trials: int
    complete: int
    pruned: int
    failed: int
    running: tuple[FrozenTrial, ...]
    waiting: int
    best: FrozenTrial | None
    elapsed_seconds: float
    eta_seconds: float | None

    @property
    def ended(self) -> int:
        """Complete, pruned and failed trials."""
        return self.complete + self.pruned + self.failed


def measure_progress(study: TuningStudy, ended_before: int, elapsed_seconds: float) -> Progress:
    """
    :param study: any
    :param ended_before: how many trials had ended when this command began
    :param elapsed_seconds: since then
    :return: how it stands
    """
    trials = study.list_trials()
    counts = Counter(trial.state for trial in trials)
    ended = sum(count for state, count in counts.items() if state.is_finished())
    asked = study.plan.settings.trials
    pace = (ended - ended_before) / elapsed_seconds if elapsed_seconds > 0 else 0.0
    return Progress(
        trials=asked,
        complete=counts[TrialState.COMPLETE],
        pruned=counts[TrialState.PRUNED],
        failed=counts[TrialState.FAIL],
        running=tuple(trial for trial in trials if trial.state == TrialState.RUNNING),
        waiting=counts[TrialState.WAITING],
        best=next(iter(rank_trials(study)), None),
        elapsed_seconds=elapsed_seconds,
        eta_seconds=max(0, asked - ended) / pace if pace > 0 else None,
    )
