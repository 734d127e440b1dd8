"""The package's errors: one root, so that ``except Sb3ExtError`` catches every message meant for a user."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_MESSAGE = 500  # characters


class Sb3ExtError(Exception):
    """Something the user can mend. The command line prints it as it is and exits with status 2."""


class ConfigError(Sb3ExtError):
    """
    A configuration cannot be used.

    :param problems: every mistake found, a line each, in the form ``place: key: what was found and expected``
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class RunError(Sb3ExtError):
    """A run directory cannot be created, read, owned or stopped."""


class CheckpointError(Sb3ExtError):
    """A checkpoint cannot be written, found, verified or loaded."""


class MissingExtraError(Sb3ExtError):
    """
    A feature needs an optional dependency that is not installed.

    :param feature: what the user asked for
    :param extra: the name of the extra that brings it
    :param condition: what else it takes
    """

    def __init__(self, feature: str, extra: str, condition: str | None = None) -> None:
        self.extra = extra
        line = f"{feature} needs an optional dependency: pip install 'sb3-ext[{extra}]'"
        super().__init__(line if condition is None else f"{line}; {condition}")


class RemoteTraceback(Exception):
    """
    Stands as the cause above an error that comes from another process.

    :param text: the traceback as it was there
    :param place: where the error was raised there, as ``file.py:12``
    """

    def __init__(self, text: str, place: str) -> None:
        self.text = text
        self.place = place
        super().__init__(text, place)

    def __str__(self) -> str:
        return f"\n\n{self.text}"


class SelfPlayError(Sb3ExtError):
    """A game, an opponent or a pool of opponents cannot be used, or does what the rules forbid."""


class LearnerMissingError(SelfPlayError):
    """A pool of opponents is to play as the current agent, but knows no model yet."""


class TuningError(Sb3ExtError):
    """A study cannot be created, read or gone on with, or it has given up."""


def find_place(error: BaseException) -> str:
    """
    Where an error was raised, be it in another process.

    :param error: it
    :return: ``file.py:12``; empty without a traceback
    """
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.place
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def describe_error(error: BaseException) -> str:
    """
    Describe an error that third-party code has raised, in one line: what the user sees in the place of a traceback.

    :param error: it
    :return: ``message`` of an error of import, ``Type: message (file.py:12)`` of any other
    """
    text = " ".join(str(error).split())[:_LONGEST_MESSAGE]
    if isinstance(error, ImportError) and text:
        return text
    place = "" if isinstance(error, SyntaxError) else find_place(error)  # its message has it
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__) + (f" ({place})" if place else "")
