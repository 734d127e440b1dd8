"""Packages that register their environments only when they are imported."""

from __future__ import annotations

import importlib.util
import re

_PACKAGES = (
    (r"ALE/.*|.*NoFrameskip-v\d+", "ale_py", "ale-py"),
    (r"(Fetch|Hand|PointMaze|AntMaze|Adroit|FrankaKitchen).*", "gymnasium_robotics", "gymnasium-robotics"),
    (r"(MiniGrid|BabyAI)-.*", "minigrid", "minigrid"),
    (r"(highway|merge|roundabout|parking|intersection|racetrack)-.*", "highway_env", "highway-env"),
)
"""Pattern of the ids, module to import, package to install."""


def explain_unregistered(env_id: str) -> str | None:
    """
    :param env_id: an id that is not registered, without a module
    :return: what to write or to install; ``None`` if its package is not in the list
    """
    for pattern, module, package in _PACKAGES:
        if re.fullmatch(pattern, env_id):
            advice = f"write '{module}:{env_id}', which imports the package first"
            if importlib.util.find_spec(module) is None:
                return f"'{env_id}' comes with the package {package}: pip install {package}, and {advice}"
            return f"'{env_id}' comes with the package {package}: {advice}"
    return None
