"""Convert nested parameters to flat names and text values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """
    :param parameters: nested plain JSON data
    :param prefix: prefix of every name
    :return: text by name, such as ``agent.params.gamma``: strings unchanged, other values as JSON. Items of lists of
        mappings are named by their ``type``, or numbered
    """
    flat: dict[str, str] = {}
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            flat |= flatten({str(item.get("type", index)): item for index, item in enumerate(value)}, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat
