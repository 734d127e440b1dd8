"""Hand the best agent of a completed run to the trackers that register models."""

from __future__ import annotations

import logging

from sb3_ext.agents.registered_model import write_mlflow_model
from sb3_ext.building.callbacks import Callbacks
from sb3_ext.config import RunConfig
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.runs.paths import RunPaths
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker_registry import make_trackers

logger = logging.getLogger(__name__)


def validate_registration(config: RunConfig) -> None:
    """
    :param config: of a run
    :raises ConfigError: if a tracker is to register its agent, which needs more than one observation to act
    """
    for name, tracker in make_trackers(config.tracking).items():
        if tracker.registers_models and (
            config.agent.id == "recurrent_ppo" or (config.env is not None and config.env.frame_stack is not None)
        ):
            reason = "recurrent_ppo" if config.agent.id == "recurrent_ppo" else "env.frame_stack"
            raise ConfigError(
                f"tracking.{name}.register: a registered model acts on single observations, but with {reason} the "
                "agent needs earlier ones too; leave out one of them"
            )


def register_model(trackers: RunTrackers, callbacks: Callbacks, paths: RunPaths) -> None:
    """
    Write the best agent as an MLflow model, and log it. What goes wrong costs a warning.

    :param trackers: of the run
    :param callbacks: of its training, which has completed
    :param paths: of the run
    """
    if not trackers.registers_models:
        return
    evaluation, store = callbacks.evaluation, callbacks.checkpoints.store
    try:
        steps = [bundle.step for bundle in store.list_bundles()]
        is_evaluated = evaluation.best_step in steps
        bundle = store.resolve(evaluation.best_step if is_evaluated else None, playing_only=True)
        write_mlflow_model(bundle, paths.tracked_model)
    except Exception as error:
        logger.warning("the model is not registered: %s", describe_error(error))
    else:
        trackers.log_model(paths.tracked_model, paths.root, evaluation.best_return if is_evaluated else None)
