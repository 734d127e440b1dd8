"""
Callbacks for any Stable-Baselines3 training.

Each is one of SB3's ``BaseCallback`` and takes plain values. Those with something to remember have ``state()``, which
gives plain JSON values, and ``restore(state)``, so that a resumed training carries on where the first one was. This
works for callbacks of your own, too, with two more attributes that they may have: ``state_key``, a text that identifies
one among several of its class (without it they are told apart by the plain arguments of their constructors that are
kept in attributes of the same name), and a method ``close()``, which a run calls at its end.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sb3_ext.callbacks.benchmark import BenchmarkCallback
    from sb3_ext.callbacks.checkpoint import RunCheckpointCallback
    from sb3_ext.callbacks.convergence_stop import ConvergenceStopCallback
    from sb3_ext.callbacks.deterministic import DeterministicCollectionCallback
    from sb3_ext.callbacks.episode_budget import EpisodeBudgetCallback
    from sb3_ext.callbacks.episode_logging import EpisodeLoggingCallback
    from sb3_ext.callbacks.episodes import EpisodeCallback
    from sb3_ext.callbacks.epsilon_decay import EpsilonDecayCallback
    from sb3_ext.callbacks.estimated_steps import EstimatedSteps
    from sb3_ext.callbacks.evaluation import EvaluationCallback
    from sb3_ext.callbacks.function import FunctionCallback
    from sb3_ext.callbacks.heartbeat import HeartbeatCallback
    from sb3_ext.callbacks.light import LightCallback
    from sb3_ext.callbacks.light_list import LightCallbackList
    from sb3_ext.callbacks.lr_decay import LearningRateDecayCallback
    from sb3_ext.callbacks.metrics import MetricsCallback
    from sb3_ext.callbacks.nan_stop import NanStopCallback
    from sb3_ext.callbacks.opponent_pool import OpponentPoolCallback
    from sb3_ext.callbacks.phase import PhaseCallback
    from sb3_ext.callbacks.plateau_stop import PlateauStopCallback
    from sb3_ext.callbacks.progress import ProgressCallback
    from sb3_ext.callbacks.q_values import QValuesCallback
    from sb3_ext.callbacks.rating import RatingCallback
    from sb3_ext.callbacks.render import RenderCallback
    from sb3_ext.callbacks.signal_stop import SignalStopCallback
    from sb3_ext.callbacks.stop_file import StopFileCallback
    from sb3_ext.callbacks.stopping import StopCallback, TrainingStopped
    from sb3_ext.callbacks.time_budget import TimeBudgetCallback
    from sb3_ext.callbacks.timings import TimingsCallback
    from sb3_ext.callbacks.trial_pruning import TrialPruningCallback

__all__ = [
    "BenchmarkCallback",
    "ConvergenceStopCallback",
    "DeterministicCollectionCallback",
    "EpisodeBudgetCallback",
    "EpisodeCallback",
    "EpisodeLoggingCallback",
    "EpsilonDecayCallback",
    "EstimatedSteps",
    "EvaluationCallback",
    "FunctionCallback",
    "HeartbeatCallback",
    "LearningRateDecayCallback",
    "LightCallback",
    "LightCallbackList",
    "MetricsCallback",
    "NanStopCallback",
    "OpponentPoolCallback",
    "PhaseCallback",
    "PlateauStopCallback",
    "ProgressCallback",
    "QValuesCallback",
    "RatingCallback",
    "RenderCallback",
    "RunCheckpointCallback",
    "SignalStopCallback",
    "StopCallback",
    "StopFileCallback",
    "TimeBudgetCallback",
    "TimingsCallback",
    "TrainingStopped",
    "TrialPruningCallback",
]

_MODULES = {
    "BenchmarkCallback": "benchmark",
    "ConvergenceStopCallback": "convergence_stop",
    "DeterministicCollectionCallback": "deterministic",
    "EpisodeBudgetCallback": "episode_budget",
    "EpisodeCallback": "episodes",
    "EpisodeLoggingCallback": "episode_logging",
    "EpsilonDecayCallback": "epsilon_decay",
    "EstimatedSteps": "estimated_steps",
    "EvaluationCallback": "evaluation",
    "FunctionCallback": "function",
    "HeartbeatCallback": "heartbeat",
    "LearningRateDecayCallback": "lr_decay",
    "LightCallback": "light",
    "LightCallbackList": "light_list",
    "MetricsCallback": "metrics",
    "NanStopCallback": "nan_stop",
    "OpponentPoolCallback": "opponent_pool",
    "PhaseCallback": "phase",
    "PlateauStopCallback": "plateau_stop",
    "ProgressCallback": "progress",
    "QValuesCallback": "q_values",
    "RatingCallback": "rating",
    "RenderCallback": "render",
    "RunCheckpointCallback": "checkpoint",
    "SignalStopCallback": "signal_stop",
    "StopCallback": "stopping",
    "StopFileCallback": "stop_file",
    "TimeBudgetCallback": "time_budget",
    "TimingsCallback": "timings",
    "TrainingStopped": "stopping",
    "TrialPruningCallback": "trial_pruning",
}


def __getattr__(name: str) -> Any:
    # Nobody who imports one callback pays for what the others import.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
