"""JSON Schema of ``agent.params``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sb3_ext.algorithms.algorithm_registry import Algorithm
from sb3_ext.algorithms.nested_parameters import find_policy_classes
from sb3_ext.algorithms.parameter_ranges import ALGORITHM_RANGES, POLICY_RANGES
from sb3_ext.argument_schema import describe_parameter, make_argument_schema
from sb3_ext.arguments import read_parameters


def make_parameter_schema(algorithm: Algorithm, owned: Mapping[str, str]) -> dict[str, Any]:
    """
    :param algorithm: whose constructor
    :param owned: its arguments that are set elsewhere
    :return: JSON Schema of ``agent.params``
    """
    schema = make_argument_schema(algorithm.load_class(), owned=owned, ranges=ALGORITHM_RANGES)
    schema["properties"]["policy_kwargs"]["properties"] = {
        name: describe_parameter(parameter, POLICY_RANGES.get(name))
        for name, parameter in read_parameters(find_policy_classes(algorithm, None)[0]).items()
        if parameter.default is not parameter.empty
    }
    return schema
