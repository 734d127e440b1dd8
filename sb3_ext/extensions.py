"""Registries of what a configuration can name: objects of this package, of other packages, and of any module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sb3_ext.arguments import import_name
from sb3_ext.problems import suggest_name


class Registry:
    """
    Objects of one kind by name: built in, registered by an installed package as an entry point, or ``module:Name``.

    A built-in name cannot be replaced. Entry points are read from the disk only for a name that is neither built in nor
    ``module:Name``, and to list or suggest names.

    :param kind: its name in messages, such as ``callback``
    :param built_in: name -> ``module:Name``
    :param group: of the entry points, such as ``sb3_ext.callbacks``
    :param alternatives: what else a configuration can name, for messages
    :param reserved: names that are handled elsewhere and only suggested here
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str],
        group: str,
        *,
        alternatives: str = "'module:Name' of your own",
        reserved: Iterable[str] = (),
    ) -> None:
        self._kind = kind
        self._built_in = dict(built_in)
        self._group = group
        self._alternatives = alternatives
        self._reserved = tuple(reserved)
        self._found: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Whether the name is built in, or registered by an installed package."""
        return name in self._built_in or name in self._found or name in self._read_entry_points()

    def list_names(self) -> list[str]:
        """:return: the built-in names, then those of other installed packages"""
        return [*self._built_in, *self.list_installed()]

    def list_installed(self) -> list[str]:
        """:return: the names that other installed packages register, sorted"""
        return sorted(self._read_entry_points().keys() - self._built_in.keys())

    def find(self, name: str) -> str:
        """
        :param name: a built-in or registered name, or ``module:Name``
        :return: the object's place, as ``module:Name``
        :raises LookupError: with a message for the user, if the name is unknown, or two packages register it
        """
        if name in self._built_in:
            return self._built_in[name]
        if ":" in name:
            return name
        if name not in self._found:
            self._found[name] = self._find_entry_point(name)
        return self._found[name]

    def load(self, name: str) -> Any:
        """
        :param name: as for :meth:`find`
        :return: the object, imported
        :raises LookupError: with a message for the user, if there is none
        """
        return import_name(self.find(name))

    def load_subclass(self, name: str, base: type) -> Any:
        """
        :param name: as for :meth:`find`
        :param base: what the object must be a subclass of
        :return: the class, imported
        :raises LookupError: with a message for the user, if there is none, or it is not such a subclass
        """
        found = self.load(name)
        if not (isinstance(found, type) and issubclass(found, base)):
            owner = base.__module__.partition(".")[0].replace("stable_baselines3", "SB3")
            raise LookupError(f"'{name}' is not a subclass of {owner}'s {base.__name__}")
        return found

    def _find_entry_point(self, name: str) -> str:
        registered = self._read_entry_points()
        if name not in registered:
            known = {*self._built_in, *self._reserved, *registered}
            raise LookupError(f"unknown {self._kind} '{name}'; {suggest_name(name, known)} (or {self._alternatives})")
        offered = registered[name]
        if len(offered) > 1:
            choices = ", ".join(f"{place} of {package}" for place, package in sorted(offered.items()))
            raise LookupError(f"{self._kind} '{name}' is registered by several packages; name one of {choices}")
        return next(iter(offered))

    def _read_entry_points(self) -> dict[str, dict[str, str]]:
        """:return: name -> ``module:Name`` -> the package that registers it"""
        from importlib.metadata import entry_points

        registered: dict[str, dict[str, str]] = {}
        for point in entry_points(group=self._group):
            package = "an unknown package" if point.dist is None else point.dist.name
            registered.setdefault(point.name, {})[f"{point.module}:{point.attr}"] = package
        return registered
