"""The JSON Schema of a configuration, with which editors complete and check the file."""

from __future__ import annotations

from typing import Any

from sb3_ext.algorithms.algorithm_registry import ALGORITHM_NAMES, ALGORITHMS
from sb3_ext.algorithms.parameter_schema import make_parameter_schema
from sb3_ext.algorithms.parameters import OWNED_PARAMETERS
from sb3_ext.config.argument_ranges import NORMALIZE_RANGES
from sb3_ext.config.game_schema import PoolConfig
from sb3_ext.config.schema import CheckpointConfig, RunConfig
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN, PARALLEL_MODES

_MODULE_NAME = {"pattern": "^[^:]+:[^:]+$"}


def make_json_schema() -> dict[str, Any]:
    """:return: the schema of all sections, and of the arguments that depend on a name beside them, as in agent"""
    schema = RunConfig.model_json_schema()
    sections = schema["$defs"]
    for section in (CheckpointConfig, PoolConfig):
        found = section.model_json_schema()
        sections |= found.pop("$defs", {})
        sections[section.__name__] = found
    names = {"enum": [*ALGORITHMS, *ALGORITHM_NAMES.list_installed()]}
    sections["AgentConfig"]["properties"]["id"]["anyOf"] = [names, _MODULE_NAME]
    sections["AgentConfig"]["allOf"] = [
        _depend("id", algorithm.id, make_parameter_schema(algorithm, OWNED_PARAMETERS))
        for algorithm in ALGORITHMS.values()
    ]
    modes = {"enum": [AUTO, *BUILT_IN, *PARALLEL_MODES.list_installed()]}
    sections["ParallelConfig"]["properties"]["mode"]["anyOf"] = [modes, _MODULE_NAME]
    sections["CallbackConfig"]["allOf"] = [_depend("type", "checkpoint", {"$ref": "#/$defs/CheckpointConfig"})]
    sections["OpponentSamplerConfig"]["allOf"] = [_depend("type", "pool", {"$ref": "#/$defs/PoolConfig"})]
    numbers = {name: allowed.to_json_schema() for name, allowed in NORMALIZE_RANGES.items()}
    for choice in sections["EnvConfig"]["properties"]["normalize"]["anyOf"]:
        if choice["type"] == "object":
            choice["properties"] = numbers
    return schema


def _depend(name: str, value: str, params: dict[str, Any]) -> dict[str, Any]:
    """If a key has this value, the parameters beside it are these."""
    return {
        "if": {"properties": {name: {"const": value}}, "required": [name]},
        "then": {"properties": {"params": params}},
    }
