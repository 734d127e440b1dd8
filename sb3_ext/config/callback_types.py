"""The types of callbacks in ``train.callbacks``, and the settings that switch on the others."""

from __future__ import annotations

from typing import Any

from sb3_ext.config.callback_schema import CHECKPOINT_TYPE
from sb3_ext.extensions import Registry

CALLBACK_TYPES = {
    "convergence_stop": "sb3_ext.callbacks.stops.convergence_stop:ConvergenceStopCallback",
    "epsilon_decay": "sb3_ext.callbacks.epsilon_decay:EpsilonDecayCallback",
    "heartbeat": "sb3_ext.callbacks.heartbeat:HeartbeatCallback",
    "lr_decay": "sb3_ext.callbacks.lr_decay:LearningRateDecayCallback",
    "plateau_stop": "sb3_ext.callbacks.stops.plateau_stop:PlateauStopCallback",
    "stop_file": "sb3_ext.callbacks.stops.stop_file:StopFileCallback",
}
"""
Where the class of each type is: names, since the configuration lies below the callbacks. A new one needs a line here;
its parameters, their types, ranges and defaults are read from its constructor.
"""

CALLBACKS = Registry("callback", CALLBACK_TYPES, "sb3_ext.callbacks", reserved=[CHECKPOINT_TYPE])
"""Every callback that a configuration can name."""

STOCK_CALLBACKS = ("CheckpointCallback", "LogEveryNTimesteps", "StopTrainingOnMaxEpisodes")
"""SB3's own callbacks that a configuration can make: plain parameters only, and no parent callback needed."""

STOCK_MODULE = "stable_baselines3.common.callbacks"

GIVEN_BY_RUN = {
    "at_boundary": "a run stops between two rollouts",
    "evaluations": "set early_stopping with by: evaluation to watch evaluations",
    "phases": "a run has its own",
    "total_steps": "it is train.total_steps",
}
"""Parameters of these callbacks that the run sets: why, or what to set instead."""

SET_ELSEWHERE = {
    "BenchmarkCallback": "always on; writes benchmark_metrics.json",
    "CurriculumCallback": "train.curriculum",
    "DataParallelCallback": "torchrun -m sb3_ext train",
    "DeterministicCollectionCallback": "train.deterministic",
    "EpisodeBudgetCallback": "train.total_episodes",
    "EpisodeLoggingCallback": "always on; train.log_every_episodes",
    "EvaluationCallback": "eval",
    "FirstRolloutCallback": "always on",
    "FunctionCallback": "from Python, sb3_ext.train(callback=…)",
    "MetricsCallback": "always on; writes metrics.json",
    "MlflowCallback": "tracking",
    "NanStopCallback": "always on",
    "LookaheadCallback": "train.lookahead",
    "OpponentPoolCallback": "train.opponent_sampler",
    "PhaseCallback": "always on",
    "ProgressCallback": "always on",
    "QValuesCallback": "always on",
    "RankPartCallback": "torchrun -m sb3_ext train",
    "RatingCallback": "always on in games",
    "RenderCallback": "sb3-ext train --render",
    "RunCheckpointCallback": f"always on; the type {CHECKPOINT_TYPE}",
    "SharedStopCallback": "torchrun -m sb3_ext train",
    "SignalStopCallback": "always on",
    "TimeBudgetCallback": "train.duration",
    "TimingsCallback": "train.track_timings",
    "TrackerCallback": "tracking",
    "TrackingCallback": "tracking",
    "TrackioCallback": "tracking",
    "TrialPruningCallback": "sb3-ext tune",
    "WandbCallback": "tracking",
}
"""The other public callbacks of the package: the setting that switches each on."""


def load_callback_class(callback_type: str) -> Any:
    """
    :param callback_type: a name that :data:`CALLBACKS` knows
    :return: the class
    :raises LookupError: with a message for the user, if there is none, or it is not a ``BaseCallback``
    """
    from stable_baselines3.common.callbacks import BaseCallback

    return CALLBACKS.load_subclass(callback_type, BaseCallback)
