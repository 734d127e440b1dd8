"""The package's errors. ``except Sb3ExtError`` catches all that have a message for the user."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_MESSAGE = 500  # characters


class Sb3ExtError(Exception):
    """An error that the user can correct. The command line prints its message and exits with status 2."""


class ConfigError(Sb3ExtError):
    """
    A configuration cannot be used.

    :param problems: all mistakes found, a line each, in the form ``place: key: what was found and expected``
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class RunError(Sb3ExtError):
    """A run directory cannot be created, read, owned or stopped."""


class CheckpointError(Sb3ExtError):
    """A checkpoint cannot be written, found, verified or loaded."""


class DiskError(Sb3ExtError):
    """A file cannot be written, since the disk is full, over its quota, read-only or broken."""


class ExportError(Sb3ExtError):
    """An agent cannot be exported, or what was exported does not act like it."""


class MissingExtraError(Sb3ExtError):
    """
    A feature needs an optional dependency that is not installed.

    :param feature: what the user asked for
    :param extra: the name of the extra that brings it
    :param condition: what else is needed
    """

    def __init__(self, feature: str, extra: str, condition: str | None = None) -> None:
        self.extra = extra
        line = f"{feature} needs an optional dependency: pip install 'sb3-ext[{extra}]'"
        super().__init__(line if condition is None else f"{line}; {condition}")


class RemoteTraceback(Exception):
    """
    The cause of an error that was raised in another process.

    :param text: the traceback in that process
    :param place: where the error was raised, as ``file.py:12``
    """

    def __init__(self, text: str, place: str) -> None:
        self.text = text
        self.place = place
        super().__init__(text, place)

    def __str__(self) -> str:
        return f"\n\n{self.text}"


class RankError(Sb3ExtError):
    """Several ranks cannot train together: they cannot connect, or differ in what must be the same."""


class RankLostError(Exception):
    """
    Another rank has ended or cannot be reached, so that training cannot continue.

    The command line exits with status 75, so that a scheduler starts the job again.
    """


class SelfPlayError(Sb3ExtError):
    """A game, an opponent or a pool of opponents cannot be used, or violates the rules."""


class LearnerMissingError(SelfPlayError):
    """A pool of opponents has no model yet to play as the current agent."""


class LaunchError(Sb3ExtError):
    """A launcher cannot be used, or refuses a task."""


class ExerciseError(Sb3ExtError):
    """
    A small task of ``sb3-ext doctor`` does not end as expected.

    :param message: what was found, and what was expected
    :param output: the last lines that its process has printed
    """

    def __init__(self, message: str, output: Iterable[str] = ()) -> None:
        self.output = tuple(output)
        super().__init__(message)


class ProjectError(Sb3ExtError):
    """A project cannot be created: its name or its directory cannot be used."""


class TuningError(Sb3ExtError):
    """A study cannot be created, read or continued, or it has stopped after too many failures."""


def find_place(error: BaseException) -> str:
    """
    Find where an error was raised, also in another process.

    :param error: the error
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
    Describe an error of third-party code in one line, which the user sees instead of a traceback.

    :param error: the error
    :return: ``message`` for an ``ImportError``, ``Type: message (file.py:12)`` for any other
    """
    text = " ".join(str(error).split())[:_LONGEST_MESSAGE]
    if isinstance(error, ImportError) and text:
        return text
    place = "" if isinstance(error, SyntaxError) else find_place(error)  # its message has it
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__) + (f" ({place})" if place else "")
