"""A copy of a study that reads well in plots: one objective, short names, and only keys that were varied."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from sb3_ext.tuning.space import shorten_key
from sb3_ext.tuning.study import TuningStudy

_FORMS = {"power_of_two": "log₂ {}", "one_minus": "1 − {}", "linear_schedule": "{}, at the start"}


def make_readable_study(study: TuningStudy) -> optuna.Study:
    """
    Copy a study into memory, for its plots.

    :param study: any
    :return: the same trials with the first objective only, each parameter named as in :func:`name_parameter`. Keys of
        which all complete trials have the same value are left out. Evaluations are returns, also where the objective is
        minimized and the original has them negated
    """
    trials = study.list_trials()
    names = {key: name_parameter(study, key) for key in _list_varied_keys(trials)}
    if len(set(names.values())) < len(names):
        names = {key: key for key in names}
    is_minimized = study.plan.is_minimized[0]
    sign = -1.0 if is_minimized else 1.0
    copy = optuna.create_study(direction="minimize" if is_minimized else "maximize")
    for trial in trials:
        copy.add_trial(
            optuna.create_trial(
                state=trial.state,
                values=trial.values[:1] if trial.state == TrialState.COMPLETE else None,
                params={names[key]: value for key, value in trial.params.items() if key in names},
                distributions={names[key]: value for key, value in trial.distributions.items() if key in names},
                intermediate_values={step: sign * value for step, value in trial.intermediate_values.items()},
            )
        )
    return copy


def name_parameter(study: TuningStudy, key: str) -> str:
    """
    :param study: any
    :param key: of the configuration, with dots
    :return: what is sampled for the key, such as ``log₂ n_steps`` where an exponent is sampled
    """
    dimension = study.plan.space.dimensions.get(key)
    form = "{}" if dimension is None or dimension.expression is None else _FORMS[dimension.expression]
    return form.format(shorten_key(key))


def _list_varied_keys(trials: Sequence[FrozenTrial]) -> list[str]:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    keys = dict.fromkeys(key for trial in complete for key in trial.params)
    values = {key: {trial.params[key] for trial in complete if key in trial.params} for key in keys}
    return [key for key in keys if len(values[key]) > 1]
