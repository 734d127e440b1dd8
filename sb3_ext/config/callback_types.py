"""The callbacks that ``train.callbacks`` knows by a name of their own. Any other is ``module:Name``."""

from __future__ import annotations

from typing import Any

from sb3_ext.arguments import import_name
from sb3_ext.config.schema import CHECKPOINT_TYPE
from sb3_ext.problems import suggest_name

CALLBACK_TYPES = {
    "convergence_stop": "sb3_ext.callbacks:ConvergenceStopCallback",
    "epsilon_decay": "sb3_ext.callbacks:EpsilonDecayCallback",
    "heartbeat": "sb3_ext.callbacks:HeartbeatCallback",
    "lr_decay": "sb3_ext.callbacks:LearningRateDecayCallback",
    "plateau_stop": "sb3_ext.callbacks:PlateauStopCallback",
    "stop_file": "sb3_ext.callbacks:StopFileCallback",
}
"""Names, not classes: the configuration lies below the callbacks."""

STOCK_CALLBACKS = ("CheckpointCallback", "LogEveryNTimesteps", "StopTrainingOnMaxEpisodes")
"""Stable-Baselines3's own that need nothing which YAML has not, and no other callback around them."""

STOCK_MODULE = "stable_baselines3.common.callbacks"

GIVEN_BY_RUN = {
    "at_boundary": "a run stops between two rollouts",
    "evaluations": "set early_stopping with by: evaluation to watch evaluations",
    "phases": "a run has its own",
    "total_steps": "it is train.total_steps",
}
"""Parameters of these that a configuration does not set: what to do instead."""

SET_ELSEWHERE = {
    "BenchmarkCallback": "always on; writes benchmark_metrics.json",
    "DeterministicCollectionCallback": "train.deterministic",
    "EpisodeBudgetCallback": "train.total_episodes",
    "EpisodeLoggingCallback": "always on; train.log_every_episodes",
    "EvaluationCallback": "eval",
    "FunctionCallback": "from Python, sb3_ext.train(callback=…)",
    "MetricsCallback": "always on; writes metrics.json",
    "NanStopCallback": "always on",
    "OpponentPoolCallback": "train.opponent_sampler",
    "PhaseCallback": "always on",
    "ProgressCallback": "always on",
    "QValuesCallback": "always on",
    "RatingCallback": "always on in games",
    "RenderCallback": "sb3-ext train --render",
    "RunCheckpointCallback": f"always on; the type {CHECKPOINT_TYPE}",
    "SignalStopCallback": "always on",
    "TimeBudgetCallback": "train.duration",
    "TimingsCallback": "train.track_timings",
    "TrialPruningCallback": "sb3-ext tune",
}
"""The other public callbacks of the package: what switches them on."""


def load_callback_class(callback_type: str) -> Any:
    """
    :param callback_type: a known name, or ``module:Name``
    :return: the class
    :raises LookupError: with a message for the user, if there is none, or if it is no ``BaseCallback``
    """
    from stable_baselines3.common.callbacks import BaseCallback

    if callback_type not in CALLBACK_TYPES and ":" not in callback_type:
        near = suggest_name(callback_type, (*CALLBACK_TYPES, CHECKPOINT_TYPE))
        raise LookupError(f"unknown callback '{callback_type}'; {near} (one of your own is 'module:Name')")
    found = import_name(CALLBACK_TYPES.get(callback_type, callback_type))
    if not (isinstance(found, type) and issubclass(found, BaseCallback)):
        raise LookupError(f"'{callback_type}' is no callback; expected a subclass of SB3's BaseCallback")
    return found
