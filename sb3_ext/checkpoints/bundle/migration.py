"""Bring what earlier versions of this package captured into today's form."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

from sb3_ext.checkpoints.state.callback_state import ARRAY
from sb3_ext.checkpoints.state.captured_state import CapturedState


def migrate_state(state: CapturedState, version: int) -> CapturedState:
    """
    :param state: as it was read from a bundle of one's own
    :param version: the format of the bundle's manifest
    :return: the same as the newest format has it
    """
    return _list_callbacks(state) if version == 1 else state


def _list_callbacks(state: CapturedState) -> CapturedState:
    """
    Format 1 had dictionaries by the class and number of callbacks, such as ``MetricsCallback/1``.

    Their ``state_key`` stood as ``=key`` in the place of the arguments; the earliest checkpoints have neither. Arrays
    were apart from the state of their callback, which now has them as its ``history``.
    """
    stock: dict[str, dict[str, Any]] = pickle.loads(state.blobs["callbacks"])
    keys: dict[str, str] = state.values.get("callback_keys", {})
    entries = []
    for name in stock:
        identification = keys.get(name, "")
        has_key = identification.startswith("=")
        own = state.values["callbacks"].get(name)
        prefix = f"callbacks/{name}/"
        history = {key.removeprefix(prefix): {ARRAY: key} for key in state.arrays if key.startswith(prefix)}
        entries.append(
            {
                "key": identification[1:] if has_key else None,
                "kind": name.rpartition("/")[0],
                "arguments": "" if has_key else identification,
                "state": {**(own or {}), "history": history} if history else own,
            }
        )
    return replace(
        state,
        values={**state.values, "callbacks": entries},
        blobs={**state.blobs, "callbacks": pickle.dumps(list(stock.values()))},
    )
