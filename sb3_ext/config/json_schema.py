"""The JSON Schema of a configuration, for completion and checks in editors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from sb3_ext.algorithms.algorithm_registry import ALGORITHM_NAMES, ALGORITHMS
from sb3_ext.algorithms.parameter_schema import make_parameter_schema
from sb3_ext.algorithms.parameters import OWNED_PARAMETERS
from sb3_ext.argument_schema import make_argument_schema
from sb3_ext.arguments import import_name
from sb3_ext.config.argument_ranges import (
    CALLBACK_RANGES,
    NORMALIZE_RANGES,
    PRUNER_RANGES,
    SAMPLER_RANGES,
    WRAPPER_RANGES,
)
from sb3_ext.config.callback_schema import CHECKPOINT_TYPE
from sb3_ext.config.callback_types import (
    CALLBACK_TYPES,
    GIVEN_BY_RUN,
    STOCK_CALLBACKS,
    STOCK_MODULE,
    load_callback_class,
)
from sb3_ext.config.game_schema import CHECKPOINT_OPPONENT_TYPE, POOL_TYPE
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.tune_schema import PRUNERS, SAMPLERS
from sb3_ext.ranges import Range
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN, PARALLEL_MODES, load_backend_class

_MODULE_NAME = {"pattern": "^[^:]+:[^:]+$"}


def make_json_schema() -> dict[str, Any]:
    """:return: the schema of all sections, and of ``params`` by the name beside them"""
    schema = RunConfig.model_json_schema()
    sections = schema["$defs"]
    names = {"enum": [*ALGORITHMS, *ALGORITHM_NAMES.list_installed()]}
    sections["AgentConfig"]["properties"]["id"]["anyOf"] = [names, _MODULE_NAME]
    sections["AgentConfig"]["allOf"] = [
        _depend("id", algorithm.id, make_parameter_schema(algorithm, OWNED_PARAMETERS))
        for algorithm in ALGORITHMS.values()
    ]
    modes = {"enum": [AUTO, *BUILT_IN, *PARALLEL_MODES.list_installed()]}
    sections["ParallelConfig"]["properties"]["mode"] |= {
        "anyOf": [modes, _MODULE_NAME],
        "description": "; ".join(_describe_modes()),
    }
    sections["CallbackConfig"]["allOf"] = [_exclude(CHECKPOINT_TYPE), *_describe_callbacks()]
    sections["OpponentConfig"]["allOf"] = [_exclude(POOL_TYPE, CHECKPOINT_OPPONENT_TYPE)]
    sections["SamplerConfig"]["allOf"] = list(_describe_optuna(SAMPLERS, SAMPLER_RANGES))
    sections["PrunerConfig"]["allOf"] = list(_describe_optuna(PRUNERS, PRUNER_RANGES))
    evaluation = schema["properties"]["eval"]
    several = {"type": "array", "items": {"$ref": "#/$defs/OneEvalConfig"}, "minItems": 1}
    evaluation["anyOf"] = [{"$ref": evaluation.pop("$ref")}, several]
    environment = sections["EnvConfig"]["properties"]
    environment["wrappers"]["items"] = _describe_wrapper()
    numbers = {name: allowed.to_json_schema() for name, allowed in NORMALIZE_RANGES.items()}
    for choice in environment["normalize"]["anyOf"]:
        if choice["type"] == "object":
            choice["properties"] = numbers
    return schema


def _depend(name: str, value: str, params: dict[str, Any]) -> dict[str, Any]:
    """The schema of ``params`` if a key beside it has this value."""
    return {
        "if": {"properties": {name: {"const": value}}, "required": [name]},
        "then": {"properties": {"params": params}},
    }


def _describe_modes() -> Iterator[str]:
    yield f"{AUTO}: choose a mode at the start, and keep it"
    for mode in BUILT_IN:
        text = inspect.getdoc(load_backend_class(mode)) or ""
        yield f"{mode}: {text[:1].lower()}{text.splitlines()[0][1:].rstrip('.')}"


def _exclude(*entry_types: str) -> dict[str, Any]:
    """Leave these types to their own sections."""
    return {"properties": {"type": {"not": {"enum": list(entry_types)}}}}


def _describe_callbacks() -> Iterator[dict[str, Any]]:
    for name in (*CALLBACK_TYPES, *(f"{STOCK_MODULE}:{name}" for name in STOCK_CALLBACKS)):
        owned = GIVEN_BY_RUN if name in CALLBACK_TYPES else ()
        params = make_argument_schema(load_callback_class(name), owned=owned, ranges=CALLBACK_RANGES)
        yield _depend("type", name, params)


def _describe_optuna(classes: Mapping[str, str], ranges: Mapping[str, Range]) -> Iterator[dict[str, Any]]:
    for name, place in classes.items():
        try:
            found = import_name(place)
        except LookupError:  # Optuna is not installed
            continue
        params = make_argument_schema(found, ranges=ranges)
        params.pop("required", None)  # the study gives those that are missing
        yield _depend("type", name, params)


def _describe_wrapper() -> dict[str, Any]:
    """The name of a class, or a mapping of one name to keyword arguments."""
    from gymnasium import Wrapper, wrappers
    from stable_baselines3.common import atari_wrappers

    known = {}
    for module, names in ((wrappers, wrappers.__all__), (atari_wrappers, dir(atari_wrappers))):
        for name in names:
            try:
                found = getattr(module, name)
            except ImportError:  # JAX is not installed, say
                continue
            if isinstance(found, type) and issubclass(found, Wrapper) and found is not Wrapper:
                known[f"{module.__name__}.{name}"] = make_argument_schema(found, owned=["env"], ranges=WRAPPER_RANGES)
    return {
        "anyOf": [
            {"type": "string", "pattern": "[.:]"},
            {
                "type": "object",
                "properties": known,
                "additionalProperties": {"type": ["object", "null"]},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
