"""Options with rules: which other options exclude them, which ones they need, and which files they can write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from sb3_ext.output_file import validate_output

_Command = TypeVar("_Command", bound=Callable[..., Any])


class RuledOption(click.Option):
    """
    An option with rules about the other parameters of its command, which are checked when it is given.

    Parameters are called as in messages: an option by its first name, such as ``--device``, an argument by its metavar.

    :param excludes: what it cannot be given with: name -> what to do instead
    :param needs: what has to be given with it: name -> what to do instead
    :param only_with: the only ones that may be given with it; ``None`` allows all that no other rule refuses
    """

    def __init__(
        self,
        *arguments: Any,
        excludes: Mapping[str, str] | None = None,
        needs: Mapping[str, str] | None = None,
        only_with: Collection[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.excludes = excludes or {}
        self.needs = needs or {}
        self.only_with = only_with

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """
        As in click, after the rules.

        :raises click.UsageError: if one of them is broken
        """
        if self.name in opts:
            given = {name_parameter(other) for other in ctx.command.params if _is_given(other, opts)}
            for message in self._find_broken_rules(given):
                raise click.UsageError(message, ctx)
        return super().handle_parse_result(ctx, opts, args)

    def _find_broken_rules(self, given: set[str]) -> Iterator[str]:
        name = name_parameter(self)
        for other, advice in self.excludes.items():
            if other in given:
                yield f"{name} cannot be given with {other}: {advice}"
        if self.only_with is not None:
            foreign = sorted(given - {name, *self.only_with})
            if foreign:
                yield (
                    f"{name} cannot be given with {', '.join(foreign)}: leave out {name} or these; "
                    f"it goes with {', '.join(self.only_with)}"
                )
        for other, advice in self.needs.items():
            if other not in given:
                yield f"{name} needs {other}: {advice}"


def ruled_option(*names: str, **settings: Any) -> Callable[[_Command], _Command]:
    """:return: ``click.option`` for a :class:`RuledOption`"""
    return click.option(*names, cls=RuledOption, **settings)


def name_parameter(parameter: click.Parameter) -> str:
    """
    :param parameter: an option or an argument
    :return: how it is called in messages: ``--device``, ``CONFIG``
    """
    if isinstance(parameter, click.Option):
        return next(name for name in parameter.opts if name.startswith("--"))
    return (parameter.metavar or parameter.human_readable_name).strip("[]")


def check_output_files(paths: Mapping[str, Path | None], *, force: bool = True) -> None:
    """
    Check before the work that all results can be written, each into a file of its own.

    :param paths: what is written, such as ``--json`` -> the file, ``None`` if there is none
    :param force: replace existing files
    :raises click.UsageError: if two are the same
    :raises RunError: if one cannot be written
    """
    names: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None:
            place = path.absolute()
            if place in names:
                raise click.UsageError(f"{names[place]} and {name} both write {path}: give two names")
            names[place] = name
            validate_output(path, force=force)


def _is_given(parameter: click.Parameter, opts: Mapping[str, Any]) -> bool:
    """Arguments that are not given have a placeholder among the parsed values; options have none."""
    if isinstance(parameter, click.Option):
        return parameter.name in opts
    value = opts.get(str(parameter.name))
    return isinstance(value, str | tuple) and len(value) > 0
