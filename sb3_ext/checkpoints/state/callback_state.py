"""
Capture and restore callbacks: their ``state_dict()``, and the progress of SB3's own callbacks.

A callback is matched by its ``state_key``, or by the name of its class if it has none; see
:mod:`sb3_ext.checkpoints.state.callback_identity`.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from stable_baselines3.common.callbacks import (
    BaseCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
)

from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.checkpoints.state.callback_identity import CallbackIdentity, identify, match_callbacks
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError, Sb3ExtError
from sb3_ext.stateful import Stateful, describe_outdated_methods

ARRAY = "$array"
"""In the JSON of a state, ``{ARRAY: name}`` represents the array of this name."""

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
_OUTDATED = (("state", "restore"), ("state_arrays", "restore_arrays"))


@runtime_checkable
class ChangesEnvironments(Protocol):
    """What a callback has that changes the training environments in a way that their own state may not include."""

    def prepare_environments(self, state: dict[str, Any]) -> bool:
        """
        Repeat the changes in new environments, before their state is restored or their episodes begin.

        :param state: the callback's own state
        :return: whether it has changed them
        """


def validate_callbacks(callbacks: BaseCallback | Sequence[BaseCallback]) -> None:
    """
    Raise an error for callbacks whose state would be lost.

    :param callbacks: the callbacks of ``learn``
    :raises Sb3ExtError: if one has the methods of version 0.1.0, which are no longer called; the message has the new
        names
    """
    for callback in list_callbacks(callbacks):
        for names in _OUTDATED:
            outdated = describe_outdated_methods(type(callback), *names)
            if outdated is not None:
                raise Sb3ExtError(f"the state of a callback would be lost in a resume: {outdated}")


def capture_callbacks(callbacks: BaseCallback | Sequence[BaseCallback], state: CapturedState) -> None:
    """
    :param callbacks: the callbacks of ``learn``; nested callbacks are included
    :param state: the state to add to
    :raises CheckpointError: if the state of a callback is neither strict JSON nor arrays
    """
    entries, stock = [], []
    for index, callback in enumerate(list_callbacks(callbacks)):
        identity = identify(callback)
        own = None
        if isinstance(callback, Stateful):
            arrays: dict[str, Array] = {}
            try:
                own = json.loads(
                    json.dumps(_take_arrays(callback.state_dict(), f"callbacks/{index}", arrays), allow_nan=False)
                )
            except (TypeError, ValueError) as error:
                raise CheckpointError(f"the state of callback {identity.name} is not strict JSON: {error}") from error
            state.arrays.update(arrays)
        entries.append({**vars(identity), "state": own})
        stock.append({attribute: getattr(callback, attribute) for attribute in _list_stock_attributes(callback)})
    state.values["callbacks"] = entries
    state.blobs["callbacks"] = pickle.dumps(stock)


def prepare_environments(callbacks: BaseCallback | Sequence[BaseCallback], state: CapturedState) -> bool:
    """
    Let callbacks that have changed the environments change the new ones before these are restored.

    :param callbacks: the callbacks of ``learn``
    :param state: the captured state
    :return: whether one has changed them
    """
    present, entries = list_callbacks(callbacks), state.values["callbacks"]
    have_changed = [
        callback.prepare_environments(_put_arrays(entries[saved]["state"], state.arrays))
        for index, saved in _match(present, state).items()
        if isinstance(callback := present[index], ChangesEnvironments) and entries[saved]["state"] is not None
    ]
    return any(have_changed)


def restore_callbacks(callbacks: BaseCallback | Sequence[BaseCallback], state: CapturedState) -> None:
    """
    Restore callbacks; those that are not in the checkpoint are left unchanged.

    :param callbacks: the callbacks of ``learn``
    :param state: the captured state
    """
    stock = pickle.loads(state.blobs["callbacks"])
    present = list_callbacks(callbacks)
    for index, saved_index in _match(present, state).items():
        callback, own = present[index], state.values["callbacks"][saved_index]["state"]
        vars(callback).update(stock[saved_index])
        if own is not None and isinstance(callback, Stateful):
            callback.load_state_dict(_put_arrays(own, state.arrays))


def _match(present: Sequence[BaseCallback], state: CapturedState) -> dict[int, int]:
    entries = state.values["callbacks"]
    saved = [CallbackIdentity(entry["key"], entry["kind"], entry["arguments"]) for entry in entries]
    return match_callbacks(saved, list(map(identify, present)))


def _take_arrays(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """:return: the value with each array replaced by a reference; copies of the arrays are added to ``arrays``"""
    if isinstance(value, np.ndarray):
        arrays[name] = np.array(value)
        return {ARRAY: name}
    if isinstance(value, Mapping):
        return {key: _take_arrays(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_arrays(item, f"{name}/{index}", arrays) for index, item in enumerate(value)]
    return value


def _put_arrays(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]].copy()
        return {key: _put_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_arrays(item, arrays) for item in value]
    return value


def _list_stock_attributes(callback: BaseCallback) -> list[str]:
    return [name for kind, names in _STOCK_ATTRIBUTES if isinstance(callback, kind) for name in names]
