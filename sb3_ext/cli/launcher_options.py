"""The options ``--launcher`` and ``--launcher-option`` of commands that start several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sb3_ext.cli.completed_values import complete_launchers
from sb3_ext.cli.options import ruled_option

if TYPE_CHECKING:
    from sb3_ext.launching.launcher import Launcher

_Command = TypeVar("_Command", bound=Callable[..., Any])


def with_launcher(**rules: Any) -> Callable[[_Command], _Command]:
    """
    Add ``--launcher`` and ``--launcher-option``; the command receives ``launcher`` and ``launcher_options``.

    :param rules: rules of both options, see :class:`~sb3_ext.cli.options.RuledOption`
    :return: the decorator
    """

    def decorate(command: _Command) -> _Command:
        command = ruled_option(
            "--launcher-option", "launcher_options", multiple=True, metavar="KEY=VALUE",
            help="Option of --launcher, such as partition=gpu; may be given several times.",
            **{**rules, "needs": {**rules.get("needs", {}), "--launcher": "name the launcher that has the option"}},
        )(command)  # fmt: skip
        return ruled_option(
            "--launcher", metavar="NAME", shell_complete=complete_launchers,
            help="Where processes run: local, slurm, ray, or module:Name.  "
            "[default: local]", **rules,
        )(command)  # fmt: skip

    return decorate


def is_distributed(launcher: str | None) -> bool:
    """
    :param launcher: value of ``--launcher``
    :return: whether it runs processes on other machines
    :raises LaunchError: if there is no such launcher
    """
    from sb3_ext.launching.launcher_registry import LOCAL, load_launcher_class

    return load_launcher_class(launcher or LOCAL).is_distributed


@contextmanager
def opening_launcher(launcher: str | None, options: Sequence[str], directory: Path, jobs: int) -> Iterator[Launcher]:
    """
    Make the launcher of a command, and close it at the end of the block.

    :param launcher: value of ``--launcher``
    :param options: values of ``--launcher-option``
    :param directory: directory of the command; nothing is created in it yet
    :param jobs: most processes at a time
    :raises LaunchError: if there is no such launcher, it has no such option, or it cannot be used here
    """
    from sb3_ext.launching import launcher_registry as registry

    found = registry.load_launcher_class(launcher or registry.LOCAL)
    with registry.opening_launcher(found, registry.parse_launcher_options(found, options), directory, jobs) as made:
        yield made
