"""Convert the state in checkpoints of earlier versions of this package to the newest format."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

from sb3_ext.checkpoints.state.callback_state import ARRAY
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.engines.engine_registry import STOCK_ENGINE, TORCH_ENGINE


def migrate_state(state: CapturedState, version: int) -> CapturedState:
    """
    :param state: state read from a trusted bundle
    :param version: format in the bundle's manifest
    :return: the state in the newest format
    """
    if version < 2:
        state = _list_callbacks(state)
    if version < 3:
        state = _rename_engine(state)
    return state


def rename_engine(engine_id: str | None, version: int) -> str:
    """
    :param engine_id: engine that a run or a checkpoint has recorded; ``None`` if it is older than engines
    :param version: format of the checkpoint
    :return: its name today: before format 3, ``torch`` was the name of SB3's own ``train``
    """
    if engine_id is None or (version < 3 and engine_id == TORCH_ENGINE):
        return STOCK_ENGINE
    return engine_id


def _rename_engine(state: CapturedState) -> CapturedState:
    algorithm = state.values["algorithm"]
    engine_id = rename_engine(algorithm.get("engine"), 2)
    return replace(state, values={**state.values, "algorithm": {**algorithm, "engine": engine_id}})


def _list_callbacks(state: CapturedState) -> CapturedState:
    """
    Convert format 1, which stored callbacks in dictionaries by class and number, such as ``MetricsCallback/1``.

    A ``state_key`` was stored as ``=key`` instead of the arguments; the earliest checkpoints have neither. Arrays were
    stored separately from the state of their callback, which now contains them as ``history``.
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
