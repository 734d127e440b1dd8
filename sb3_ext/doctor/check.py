"""A check and what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["OK", "WARNING", "SKIPPED", "FAILED"]


@dataclass(frozen=True)
class Finding:
    """
    What a check has found.

    :param verdict: ``WARNING``: trainings work, but slower or with a risk; ``SKIPPED``: an optional part is not
        installed, or the check is impossible for a reason that another one has found; ``FAILED``: trainings, or what
        is installed, do not work
    :param detail: one line: what was found, and what was expected
    :param advice: what to do; empty if there is nothing to do
    :param notes: further lines
    """

    verdict: Verdict
    detail: str
    advice: str = ""
    notes: tuple[str, ...] = ()


class Check(ABC):
    """
    One thing that can be wrong.

    :ivar name: its name in the report
    """

    name: str

    @abstractmethod
    def examine(self, directory: Path) -> Finding:
        """
        Find out. An exception counts as ``FAILED``, and its message as the detail.

        :param directory: an empty directory for this check alone, which is removed afterwards; what lies beside it is
            shared by all checks of an examination
        :return: what was found
        """
