"""Run checks one after another, and keep what they find."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sb3_ext.doctor.anonymity import hide_identity
from sb3_ext.doctor.check import Check, Finding
from sb3_ext.errors import ExerciseError, Sb3ExtError, describe_error

_REPORT_IT = "if the reason is not clear, open an issue with this report"


@dataclass(frozen=True)
class Result:
    """
    A check that has been run.

    :param name: name of the check
    :param finding: what it found, without secrets and names of users
    :param seconds: how long it took
    """

    name: str
    finding: Finding
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """:return: the fields as plain data"""
        return {"name": self.name, **asdict(self.finding), "seconds": round(self.seconds, 1)}


def run_checks(checks: Sequence[Check], watch: Callable[[Result], None]) -> list[Result]:
    """
    Run checks, each in a temporary directory of its own. All are removed, also after Ctrl+C.

    :param checks: in this order; one that fails does not end the others
    :param watch: receives each result as soon as it is known
    :return: all results
    """
    results = []
    with tempfile.TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True) as shared:
        for number, check in enumerate(checks):
            began = time.monotonic()
            directory = Path(shared).resolve() / str(number)
            directory.mkdir()
            finding = _examine(check, directory)
            shutil.rmtree(directory, ignore_errors=True)
            result = Result(check.name, _hide_identities(finding), time.monotonic() - began)
            results.append(result)
            watch(result)
    return results


def has_passed(results: Sequence[Result]) -> bool:
    """Whether no check has failed."""
    return all(result.finding.verdict != "FAILED" for result in results)


def _examine(check: Check, directory: Path) -> Finding:
    try:
        return check.examine(directory)
    except ExerciseError as error:
        return Finding("FAILED", str(error), _REPORT_IT, error.output)
    except Sb3ExtError as error:
        return Finding("FAILED", " ".join(str(error).split()), _REPORT_IT)
    except Exception as error:  # a broken installation may raise anything
        return Finding("FAILED", describe_error(error), _REPORT_IT)


def _hide_identities(finding: Finding) -> Finding:
    return replace(
        finding,
        detail=hide_identity(finding.detail),
        advice=hide_identity(finding.advice),
        notes=tuple(map(hide_identity, finding.notes)),
    )
