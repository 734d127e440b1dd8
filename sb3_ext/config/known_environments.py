"""Packages whose environments Gymnasium knows only after an import of the package."""

from __future__ import annotations

import importlib.util
import re

_PACKAGES = (
    (r"ALE/.*|.*NoFrameskip-v\d+", "ale_py", "ale-py"),
    (r"(Fetch|Hand|PointMaze|AntMaze|Adroit|FrankaKitchen).*", "gymnasium_robotics", "gymnasium-robotics"),
    (r"(MiniGrid|BabyAI)-.*", "minigrid", "minigrid"),
    (r"(highway|merge|roundabout|parking|intersection|racetrack)-.*", "highway_env", "highway-env"),
)
"""A pattern of their ids, the module to import, and the package that brings it."""


def explain_unregistered(env_id: str) -> str | None:
    """
    :param env_id: an id that Gymnasium does not know, without a module
    :return: what to write or to install, if its package is known
    """
    for pattern, module, package in _PACKAGES:
        if re.fullmatch(pattern, env_id):
            advice = f"write '{module}:{env_id}', which imports the package first"
            if importlib.util.find_spec(module) is None:
                return f"'{env_id}' comes with the package {package}: pip install {package}, and {advice}"
            return f"'{env_id}' comes with the package {package}: {advice}"
    return None
