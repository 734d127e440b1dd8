"""
What callbacks know: their own ``state()``, given back to ``restore(state)``, and the progress of SB3's own callbacks.

A callback that keeps long columns of numbers has ``state_arrays()``, arrays by name, and ``restore_arrays(arrays)``.

Callbacks are found again by their class and, among those of the same class, by their key, which is explained in
:mod:`sb3_ext.checkpoints.state.callback_tree`.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import (
    BaseCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
)

from sb3_ext.checkpoints.state.callback_tree import find_key, match_names, name_callbacks
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError

_STOCK_ATTRIBUTES: tuple[tuple[type[BaseCallback], tuple[str, ...]], ...] = (
    (BaseCallback, ("n_calls",)),
    (
        EvalCallback,
        (
            "best_mean_reward",
            "last_mean_reward",
            "evaluations_timesteps",
            "evaluations_results",
            "evaluations_length",
            "evaluations_successes",
        ),
    ),
    (EveryNTimesteps, ("last_time_trigger",)),
    (StopTrainingOnMaxEpisodes, ("n_episodes",)),
    (StopTrainingOnNoModelImprovement, ("last_best_mean_reward", "no_improvement_evals")),
)


def capture_callbacks(callbacks: BaseCallback | Sequence[BaseCallback], state: CapturedState) -> None:
    """
    :param callbacks: those of ``learn``; lists and callbacks within callbacks are followed
    :param state: is added to
    :raises CheckpointError: if a callback's state is not strict JSON: whose
    """
    own: dict[str, Any] = {}
    stock: dict[str, dict[str, Any]] = {}
    keys: dict[str, str] = {}
    for name, callback in name_callbacks(callbacks):
        keys[name] = find_key(callback)
        stock[name] = {attribute: getattr(callback, attribute) for attribute in _list_stock_attributes(callback)}
        stateful: Any = callback
        if _has_state(callback):
            try:
                own[name] = json.loads(json.dumps(stateful.state(), allow_nan=False))
            except (TypeError, ValueError) as error:
                raise CheckpointError(f"the state of callback {name} is not strict JSON: {error}") from error
        if hasattr(callback, "state_arrays"):
            for key, array in stateful.state_arrays().items():
                state.arrays[f"callbacks/{name}/{key}"] = np.array(array)
    state.values["callbacks"] = own
    state.values["callback_keys"] = keys
    state.blobs["callbacks"] = pickle.dumps(stock)


def restore_callbacks(callbacks: BaseCallback | Sequence[BaseCallback], state: CapturedState) -> None:
    """
    Callbacks that were not there at the checkpoint are left as they are.

    :param callbacks: those of ``learn``
    :param state: what was captured
    """
    stock = pickle.loads(state.blobs["callbacks"])
    present: dict[str, Any] = dict(name_callbacks(callbacks))
    # Checkpoints of earlier versions have no keys: there the order decides.
    saved_keys = state.values.get("callback_keys", dict.fromkeys(stock, ""))
    matches = match_names(saved_keys, {name: find_key(callback) for name, callback in present.items()})
    for name, callback in present.items():
        saved_name = matches.get(name)
        if saved_name is None:
            continue
        vars(callback).update(stock.get(saved_name, {}))
        if saved_name in state.values["callbacks"] and _has_state(callback):
            callback.restore(state.values["callbacks"][saved_name])
        prefix = f"callbacks/{saved_name}/"
        arrays = {key.removeprefix(prefix): array for key, array in state.arrays.items() if key.startswith(prefix)}
        if arrays and hasattr(callback, "restore_arrays"):
            callback.restore_arrays(arrays)


def _list_stock_attributes(callback: BaseCallback) -> list[str]:
    return [name for kind, names in _STOCK_ATTRIBUTES if isinstance(callback, kind) for name in names]


def _has_state(callback: object) -> bool:
    return callable(getattr(callback, "state", None)) and callable(getattr(callback, "restore", None))
