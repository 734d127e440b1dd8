"""The report: what it says, what it leaves out, and what it leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sb3_ext.cli import cli
from sb3_ext.doctor import anonymity, check_list
from sb3_ext.doctor.anonymity import hide_identity
from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.examination import run_checks
from sb3_ext.errors import ConfigError, ExerciseError
from sb3_ext.version import __version__


class PlannedCheck(Check):
    """Finds, or raises, what it is given."""

    def __init__(self, name: str, outcome: Finding | BaseException) -> None:
        self.name = name
        self.outcome = outcome
        self.directory: Path | None = None

    def examine(self, directory: Path) -> Finding:
        self.directory = directory
        (directory / "rest").write_text("")
        if isinstance(self.outcome, Finding):
            return self.outcome
        raise self.outcome


def run_doctor(checks: Sequence[Check], monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setattr(check_list, "INSPECTIONS", tuple(checks))
    return CliRunner().invoke(cli, ["doctor", *words], catch_exceptions=False)


FINE = PlannedCheck("fine", Finding("OK", "as expected"))
SLOW = PlannedCheck("slow", Finding("WARNING", "slower than expected", "close other programs"))
ABSENT = PlannedCheck("absent", Finding("SKIPPED", "needs the extra tune", "pip install 'sb3-ext[tune]'"))


def test_warnings_and_absent_extras_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_doctor([FINE, SLOW, ABSENT], monkeypatch)
    assert result.exit_code == 0
    assert [line.partition(" (")[0] for line in result.stdout.splitlines()] == [
        f"sb3-ext {__version__} doctor",
        *("OK        fine", "          as expected"),
        *("WARNING   slow", "          slower than expected", "          to do: close other programs"),
        *("SKIPPED   absent", "          needs the extra tune", "          to do: pip install 'sb3-ext[tune]'"),
        *("", "ALL PASSED"),
    ]


@pytest.mark.parametrize(
    ("error", "detail", "notes"),
    [
        (ExerciseError("exit status 1", ["line 1", "line 2"]), "exit status 1", ["line 1", "line 2"]),
        (ConfigError(["a.yaml:1: wrong", "a.yaml:2: wrong"]), "a.yaml:1: wrong a.yaml:2: wrong", []),
        (ZeroDivisionError("division"), "ZeroDivisionError: division (", []),
    ],
)
def test_an_error_is_a_failure_and_the_other_checks_still_run(
    error: Exception, detail: str, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_doctor([PlannedCheck("broken", error), FINE], monkeypatch, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["sb3_ext"], report["passed"]) == (__version__, False)
    broken, fine = report["checks"]
    assert broken["verdict"] == "FAILED"
    assert broken["detail"].startswith(detail)
    assert broken["notes"] == notes
    assert broken["advice"]
    assert (fine["name"], fine["verdict"]) == ("fine", "OK")


def test_the_last_line_names_what_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = PlannedCheck("locks", Finding("FAILED", "no locks", "use another disk"))
    result = run_doctor([failed, FINE, PlannedCheck("clock", ValueError())], monkeypatch)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "FAILED: locks, clock"


def test_ctrl_c_leaves_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted, never = PlannedCheck("interrupted", KeyboardInterrupt()), PlannedCheck("never", Finding("OK", ""))
    result = run_doctor([interrupted, never], monkeypatch)
    assert result.exit_code == 130
    assert interrupted.directory is not None
    assert not interrupted.directory.exists()
    assert never.directory is None


def test_quick_and_full_add_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_list, "QUICK", (PlannedCheck("short", Finding("OK", "")),))
    monkeypatch.setattr(check_list, "FULL", (PlannedCheck("long", Finding("OK", "")),))
    names = {
        option: [
            check["name"] for check in json.loads(run_doctor([FINE], monkeypatch, "--json", *option).stdout)["checks"]
        ]
        for option in ((), ("--quick",), ("--full",))
    }
    assert names == {(): ["fine"], ("--quick",): ["fine", "short"], ("--full",): ["fine", "long"]}


def test_every_check_has_a_name_of_its_own() -> None:
    for checks in ((*check_list.INSPECTIONS, *check_list.QUICK), (*check_list.INSPECTIONS, *check_list.FULL)):
        names = [check.name for check in checks]
        assert len(set(names)) == len(names)
        assert len(names) > 15
    assert {check.name for check in check_list.QUICK} <= {check.name for check in check_list.FULL}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/marlene/runs is full", "~/runs is full"),
        ("see /home/marlene", "see ~"),
        ("/home/marlenes/x", "/home/USER/x"),
        ("/data/marlene/runs, marlene@tardis-7:22", "/data/USER/runs, USER@HOST:22"),
        ("/Users/anna/x and C:\\Users\\anna\\y", "/Users/USER/x and C:\\Users\\USER\\y"),
        ("the key is s3cr3t-value", "the key is ***"),
        ("http://me:hunter2@server/", "http://me:***@server/"),
        ("marlene-like names stay", "marlene-like names stay"),
    ],
)
def test_the_report_hides_people_machines_and_secrets(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/marlene")
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-value")
    monkeypatch.setattr(anonymity.getpass, "getuser", lambda: "marlene")
    monkeypatch.setattr(anonymity.socket, "gethostname", lambda: "tardis-7")
    assert hide_identity(text) == expected
    [result] = run_checks([PlannedCheck("leak", Finding("FAILED", text, text, (text,)))], lambda _result: None)
    assert result.finding == Finding("FAILED", expected, expected, (expected,))


def test_a_user_without_a_name_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError(f"uid not found: {os.getuid()}")

    monkeypatch.setattr(anonymity.getpass, "getuser", fail)
    assert hide_identity("text") == "text"
