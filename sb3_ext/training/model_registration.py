"""Hand the best agent of a completed run to the trackers that register models."""

from __future__ import annotations

import logging

from sb3_ext.agents.registered_model import write_mlflow_model
from sb3_ext.building.callbacks import Callbacks
from sb3_ext.errors import describe_error
from sb3_ext.runs.paths import RunPaths
from sb3_ext.tracking.run_trackers import RunTrackers

logger = logging.getLogger(__name__)


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
        env = callbacks.checkpoints.model.get_env()
        assert env is not None, "it has trained"
        write_mlflow_model(bundle, env, paths.tracked_model)
    except Exception as error:
        logger.warning("the model is not registered: %s", describe_error(error))
    else:
        trackers.log_model(paths.tracked_model, paths.root, evaluation.best_return if is_evaluated else None)
