"""Fetch an agent from the Hugging Face Hub: a published run, an agent of RL Zoo, or a single zip of SB3."""

from __future__ import annotations

import shutil
from pathlib import Path

from sb3_ext.atomic import write_json
from sb3_ext.cache_directory import find_cache_root
from sb3_ext.config.rl_zoo.agent_folder import is_zoo_agent
from sb3_ext.errors import RunError
from sb3_ext.hub.hub_client import HUB_PREFIX, HubError, download_folder, validate_name
from sb3_ext.output_file import validate_output_directory
from sb3_ext.runs.paths import FETCHED_MARK
from sb3_ext.runs.run import is_run


def fetch_agent(target: str) -> Path:
    """
    Fetch an agent into the user's cache; what has not changed since the last time is not fetched again.

    :param target: ``hf:user/name`` or ``hf:user/name@revision``
    :return: a run directory, a folder of RL Zoo or a zip
    :raises HubError: if it cannot be fetched, or is none of these
    """
    name, revision = _parse(target)
    folder = find_cache_root() / "hub" / name.replace("/", "--") / (revision or "newest").replace("/", "--")
    return _fetch(name, revision, folder)


def pull_agent(target: str, folder: Path) -> Path:
    """
    Fetch an agent into a new directory.

    :param target: ``user/name``, ``user/name@revision``, or with ``hf:`` before it
    :param folder: must not exist, or be empty
    :return: a run directory, a folder of RL Zoo or a zip in it
    :raises HubError: if it cannot be fetched, or is none of these; nothing is left behind
    :raises RunError: if the folder cannot be used
    """
    name, revision = _parse(target)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: exists already; give another one with --output")
    validate_output_directory(folder)
    partial = folder.with_name(f".{folder.name}.unfinished")
    try:
        found = _fetch(name, revision, partial).relative_to(partial)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / found


def _parse(target: str) -> tuple[str, str | None]:
    name, _, revision = target.removeprefix(HUB_PREFIX).partition("@")
    validate_name(name)
    return name, revision or None


def _fetch(name: str, revision: str | None, folder: Path) -> Path:
    download_folder(name, folder, revision=revision)
    write_json(folder / FETCHED_MARK, {"repository": name, "revision": revision}, durable=False)
    if is_run(folder) or is_zoo_agent(folder):
        return folder
    zips = sorted(folder.glob("*.zip"))
    if len(zips) == 1:
        return zips[0]
    found = ", ".join(sorted(path.name for path in folder.iterdir() if path.name not in (FETCHED_MARK, ".cache")))
    raise HubError(
        f"{HUB_PREFIX}{name}: is neither a run, nor an agent of RL Zoo, nor a single zip; it has {found or 'no files'}"
    )
