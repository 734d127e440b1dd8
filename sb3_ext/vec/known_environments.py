"""Packages that register their environments only when they are imported."""

from __future__ import annotations

import importlib.util
import re

_PACKAGES = (
    (r"ALE/.*|.*NoFrameskip-v\d+", "ale_py", "ale-py"),
    (r"(Fetch|Hand|PointMaze|AntMaze|Adroit|FrankaKitchen).*", "gymnasium_robotics", "gymnasium-robotics"),
    (r"(MiniGrid|BabyAI)-.*", "minigrid", "minigrid"),
    (r"Panda.*", "panda_gym", "panda-gym"),
    (r".*Bullet(Duck)?Env-v0", "pybullet_envs_gymnasium", "pybullet-envs-gymnasium"),
    (r"(highway|merge|roundabout|parking|intersection|racetrack)-.*", "highway_env", "highway-env"),
)
"""Pattern of the ids, module to import, package to install."""


def find_module_of(env_id: str) -> str | None:
    """
    :param env_id: an id, without a module
    :return: the module that registers it when it is imported; ``None`` if it is not known to be in a package
    """
    return next((module for pattern, module, _ in _PACKAGES if re.fullmatch(pattern, env_id)), None)


def list_known_modules() -> list[str]:
    """:return: the modules that register environments when they are imported"""
    return [module for _, module, _ in _PACKAGES]


def explain_missing_module(module: str) -> str | None:
    """
    :param module: that cannot be imported
    :return: the package to install; ``None`` if it is not in the list, or is installed
    """
    package = next((package for _, known, package in _PACKAGES if known == module), None)
    if package is None or importlib.util.find_spec(module) is not None:
        return None
    return f"module '{module}' comes with the package {package}: pip install {package}"


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
