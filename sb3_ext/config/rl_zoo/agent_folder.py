"""
Find the files of an agent that RL Zoo trained.

::

    logs/ppo/CartPole-v1_1/          the folder
    ├── CartPole-v1.zip              the last model
    ├── best_model.zip               the best one by evaluation
    ├── rl_model_50000_steps.zip     a checkpoint
    └── CartPole-v1/
        ├── args.yml                 the command line
        ├── config.yml               the hyperparameters
        └── vecnormalize.pkl         statistics of VecNormalize

On the Hugging Face Hub the files are beside each other: ``ppo-CartPole-v1.zip``, ``args.yml``, ``config.yml``,
``env_kwargs.yml`` and ``vec_normalize.pkl``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sb3_ext.config.rl_zoo.hyperparameter_files import ALGORITHMS_OF_ZOO, ZooEntry, read_zoo_document
from sb3_ext.config.rl_zoo.translation import Translation, translate
from sb3_ext.errors import CheckpointError, ConfigError
from sb3_ext.problems import Key, suggest_name

_ARGUMENTS, _HYPERPARAMETERS, _ENV_KWARGS = "args.yml", "config.yml", "env_kwargs.yml"
_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl")
_BEST = "best_model.zip"
_CHECKPOINT = re.compile(r"rl_model_(\d+)_steps\.zip")


@dataclass(frozen=True)
class ZooAgent:
    """
    An agent that RL Zoo trained.

    :param translation: its configuration
    :param model_path: its zip
    :param statistics_path: a pickle with the statistics of ``VecNormalize``; ``None`` without normalised observations
    """

    translation: Translation
    model_path: Path
    statistics_path: Path | None = None


def is_zoo_agent(folder: Path) -> bool:
    """Return whether a folder has the settings of an agent that RL Zoo trained."""
    return _find_settings(folder) is not None


def find_zoo_agent(target: str | Path, checkpoint: str | None = None) -> ZooAgent | None:
    """
    :param target: the agent's folder, or a zip in it
    :param checkpoint: ``best``, ``latest`` or a step; ``None`` for the best, or the latest if there is no best
    :return: its files; ``None`` if this is not an agent of RL Zoo
    :raises CheckpointError: if it has no such model, or its files cannot be read
    """
    path = Path(target)
    folder = path if path.is_dir() else path.parent
    settings = _find_settings(folder)
    if settings is None or not (path.is_dir() or path.suffix == ".zip"):
        return None
    try:
        translation = translate(_read_entry(settings))
        if path.is_dir():
            path = _choose_model(folder, translation.entry, checkpoint)
        elif checkpoint is not None:
            raise CheckpointError(f"{path}: is a single model; leave out --checkpoint {checkpoint}, or name its folder")
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return ZooAgent(translation, path, _find_statistics(settings, translation.content["env"].get("normalize", False)))


def _find_settings(folder: Path) -> Path | None:
    """:return: the folder with ``config.yml`` and ``args.yml``"""
    candidates = [folder, *(path.parent for path in sorted(folder.glob(f"*/{_ARGUMENTS}")))]
    found = [place for place in candidates if (place / _ARGUMENTS).is_file() and (place / _HYPERPARAMETERS).is_file()]
    return found[0] if len(found) == 1 else None


def _read_entry(settings: Path) -> ZooEntry:
    given = read_zoo_document(settings / _ARGUMENTS).value
    path = settings / _HYPERPARAMETERS
    document = read_zoo_document(path)
    algorithm, env_id = given.get("algo"), given.get("env")
    if algorithm not in ALGORITHMS_OF_ZOO:
        raise ConfigError(f"{settings / _ARGUMENTS}: algo: {suggest_name(algorithm, ALGORITHMS_OF_ZOO)}")
    if not isinstance(env_id, str):
        raise ConfigError(f"{settings / _ARGUMENTS}: env: expected the id of an environment")
    packages = given.get("gym_packages") or [None]
    problems = tuple(document.problems)
    entry = ZooEntry(algorithm, env_id, document.value, document.lines, path, None, problems, packages[-1])
    env_kwargs = given.get("env_kwargs") or _read_env_kwargs(settings)
    if not env_kwargs:
        return entry
    lines: Mapping[Key, int] = {key: line for key, line in entry.lines.items() if key[0] != "env_kwargs"}
    return replace(entry, values={**entry.values, "env_kwargs": env_kwargs}, lines=lines)


def _read_env_kwargs(settings: Path) -> Any:
    path = settings / _ENV_KWARGS
    return read_zoo_document(path).value if path.is_file() else None


def _choose_model(folder: Path, entry: ZooEntry, checkpoint: str | None) -> Path:
    name = entry.env_id.replace("/", "-")
    last = [folder / f"{name}.zip", folder / f"{entry.algorithm}-{name}.zip"]
    steps = {int(match[1]): path for path in folder.glob("*.zip") if (match := _CHECKPOINT.fullmatch(path.name))}
    if steps:
        last.append(steps[max(steps)])
    candidates = {
        None: [folder / _BEST, *last],
        "best": [folder / _BEST],
        "latest": last,
    }.get(
        checkpoint, [steps[int(checkpoint)]] if checkpoint and checkpoint.isdigit() and int(checkpoint) in steps else []
    )
    for path in candidates:
        if path.is_file():
            return path
    found = ", ".join(sorted(path.name for path in folder.glob("*.zip"))) or "no zip at all"
    raise CheckpointError(f"{folder}: has no model '{checkpoint or 'best'}'; found {found}")


def _find_statistics(settings: Path, normalize: Any) -> Path | None:
    """Only observations need statistics to play; rewards are not scaled then."""
    if not normalize or (isinstance(normalize, Mapping) and normalize.get("norm_obs") is False):
        return None
    for name in _STATISTICS:
        if (settings / name).is_file():
            return settings / name
    raise CheckpointError(
        f"{settings / _STATISTICS[0]}: is missing: the agent was trained on normalised observations, and needs their "
        "statistics"
    )
