"""Copy the template of a project under another name."""

from __future__ import annotations

import importlib.machinery
import keyword
import re
import sys
from pathlib import Path

from sb3_ext.atomic import create_directory
from sb3_ext.errors import ProjectError

_TEMPLATE = Path(__file__).parent / "template"
_NAME, _CLASS = "my_project", "MyProject"  # in the template's files and paths
_LEFT_OUT = {"__pycache__", ".pytest_cache"}


def create_project(directory: Path) -> list[str]:
    """
    Create a project; the last part of the path is the name of its package.

    :param directory: a directory that does not exist or is empty; its parent exists
    :return: the files, relative to the directory, sorted
    :raises ProjectError: if the name cannot be a package's, or the directory cannot be created
    """
    name = directory.absolute().name
    validate_name(name)
    if directory.is_dir() and any(directory.iterdir()):
        raise ProjectError(f"{directory}: this directory is not empty; choose another name, or remove its files")
    if directory.exists() and not directory.is_dir():
        raise ProjectError(f"{directory}: a file with this name exists; choose another name")
    names = {_NAME: name, _CLASS: "".join(part.capitalize() for part in name.split("_"))}
    files = {_rename(place, names): _rename(text, names) for place, text in _read_template().items()}
    try:
        if directory.exists():  # it may be the current directory, which cannot be replaced
            _write_files(directory, files)
        else:
            with create_directory(directory) as hidden:
                _write_files(hidden, files)
    except OSError as error:
        raise ProjectError(f"{directory}: cannot be created: {error.strerror or error}") from error
    return sorted(files)


def validate_name(name: str) -> None:
    """
    :param name: name of a package
    :raises ProjectError: if Python cannot import a package by it, or imports another one
    """
    if re.fullmatch(r"[a-z][a-z0-9]*(_+[a-z0-9]+)*", name) is None:
        hint = _suggest(name)
        raise ProjectError(
            f"'{name}' cannot be the name of a package: expected lower-case letters, digits and '_', and a letter first"
            + (f"; try {hint}" if hint else "")
        )
    if keyword.iskeyword(name):
        raise ProjectError(f"'{name}' cannot be the name of a package: it is a keyword of Python")
    if name in sys.stdlib_module_names:
        raise ProjectError(f"'{name}' cannot be the name of the package: Python has a module with this name")
    # Not the current directory, where the project may be created.
    paths = [path for path in sys.path if path and Path(path) != Path.cwd()]
    found = importlib.machinery.PathFinder.find_spec(name, paths)
    if found is not None and found.origin is not None:
        raise ProjectError(f"'{name}' cannot be the name of the package: an installed package has it")
    if name == "tests":
        raise ProjectError("'tests' cannot be the name of the package: its tests are in a directory with this name")


def _read_template() -> dict[str, str]:
    """:return: path of each file of the template -> its content"""
    places = [path.relative_to(_TEMPLATE) for path in _TEMPLATE.rglob("*") if path.is_file()]
    return {
        place.as_posix(): (_TEMPLATE / place).read_text(encoding="utf-8")
        for place in places
        if not _LEFT_OUT & set(place.parts)
    }


def _write_files(directory: Path, files: dict[str, str]) -> None:
    for place, text in files.items():
        target = directory / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _rename(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(names), lambda match: names[match[0]], text)


def _suggest(name: str) -> str:
    """``MyProject`` and ``my-project`` become ``my_project``; empty if nothing is left."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", words).strip("_").lstrip("0123456789_")
