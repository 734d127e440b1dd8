"""Names and versions of the installed packages, without importing them."""

from __future__ import annotations

import functools
import importlib.metadata
import re

_HEADER = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


@functools.cache
def list_packages() -> tuple[tuple[str, str], ...]:
    """
    List all installed packages. The first call reads the metadata of each, which takes some milliseconds; reading the
    versions of five packages with ``importlib.metadata`` takes as long, since it parses the README of each.

    :return: names and versions, in the order of ``sys.path``
    """
    found = []
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        headers = dict(_HEADER.findall(text.partition("\n\n")[0]))
        if "Name" in headers and "Version" in headers:  # a broken installation leaves a nameless folder behind
            found.append((headers["Name"], headers["Version"]))
    return tuple(found)


def read_version(name: str) -> str | None:
    """
    :param name: name of a package, in any spelling
    :return: its version; ``None`` if it is not installed
    """
    return _map_versions().get(_normalize(name))


@functools.cache
def _map_versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name, version in list_packages():
        versions.setdefault(_normalize(name), version)  # Python imports the first one
    return versions


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
