"""The requirements of the installed package, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

DISTRIBUTION = "sb3-ext"
_NOT_FOR_USERS = {"all", "dev", "lint", "test", "type"}


@dataclass(frozen=True)
class RequiredPackage:
    """
    A package that is needed, and its installed version.

    :param requirement: name and bounds, such as ``torch>=2.10``
    :param installed: installed version; ``None`` if it is not installed
    """

    requirement: Requirement
    installed: str | None

    @property
    def is_in_bounds(self) -> bool:
        """Whether it is installed in a version that is allowed."""
        return self.installed is not None and self.requirement.specifier.contains(self.installed, prereleases=True)

    @property
    def expected(self) -> str:
        """As for ``pip install``, without extras and markers."""
        return f"{self.requirement.name}{self.requirement.specifier}"

    def __str__(self) -> str:
        found = "is not installed" if self.installed is None else f"{self.installed} is installed"
        return f"{self.requirement.name} {found}, expected {self.requirement.specifier or 'any version'}"


def list_dependencies() -> list[RequiredPackage]:
    """
    :return: what every installation needs
    :raises PackageNotFoundError: if the package is imported from a directory, and not installed
    """
    return [
        _look_up(requirement)
        for requirement in _read_requirements()
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def list_extras() -> dict[str, list[RequiredPackage]]:
    """
    :return: extra -> what it needs on this Python beside :func:`list_dependencies`; extras for developers are left out
    :raises PackageNotFoundError: as for :func:`list_dependencies`
    """
    names = set(metadata(DISTRIBUTION).get_all("Provides-Extra") or []) - _NOT_FOR_USERS
    extras: dict[str, list[RequiredPackage]] = {}
    for name in sorted(names):
        found = [part for requirement in _read_requirements_of(DISTRIBUTION, name) for part in _expand(requirement)]
        if found:
            extras[name] = [_look_up(requirement) for requirement in found]
    return extras


def _read_requirements() -> list[Requirement]:
    return [Requirement(line) for line in requires(DISTRIBUTION) or []]


def _read_requirements_of(package: str, extra: str) -> list[Requirement]:
    """:return: what an extra of an installed package needs on this Python, beside what the package needs"""
    return [
        requirement
        for requirement in map(Requirement, requires(package) or [])
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]


def _expand(requirement: Requirement) -> Iterator[Requirement]:
    """Yield a requirement, and what its own extras need: with ``jax[cuda12]``, the package of JAX's CUDA, too."""
    yield requirement
    for extra in sorted(requirement.extras):
        with suppress(PackageNotFoundError):
            yield from _read_requirements_of(requirement.name, extra)


def _look_up(requirement: Requirement) -> RequiredPackage:
    try:
        return RequiredPackage(requirement, version(requirement.name))
    except PackageNotFoundError:
        return RequiredPackage(requirement, None)
