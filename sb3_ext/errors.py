"""The package's errors: one root, so that ``except Sb3ExtError`` catches every message meant for a user."""

from __future__ import annotations

from collections.abc import Iterable


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
