"""Whether packages can be imported, which their metadata does not tell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.extras import is_present
from sb3_ext.doctor.inspections.requirement_list import DISTRIBUTION, list_dependencies, list_extras
from sb3_ext.launching.task import Task, TaskEnd

_TIMEOUT_SECONDS = 240
# In a process of its own: a library that is built for another processor ends the process.
_CODE = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[2:]:
    with open(sys.argv[1], "a") as results:
        results.write(json.dumps([name, None]) + "\\n")
    try:
        importlib.import_module(name)
        error = ""
    except BaseException as caught:
        error = " ".join(f"{type(caught).__name__}: {caught}".split())[:300]
    with open(sys.argv[1], "a") as results:
        results.write(json.dumps([name, error]) + "\\n")
"""


class DependencyImports(Check):
    """Import all dependencies."""

    name = "imports"

    def examine(self, directory: Path) -> Finding:
        modules = find_modules(package.requirement.name for package in list_dependencies())
        broken = find_broken(sorted(set().union(*modules.values())), directory)
        if broken:
            packages = sorted(name for name, found in modules.items() if found & broken.keys())
            reasons = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
            return Finding("FAILED", reasons, f"pip install --force-reinstall {' '.join(packages)}")
        return Finding("OK", f"{sum(map(len, modules.values()))} modules can be imported")


class ExtraImports(Check):
    """Import what the installed extras bring."""

    name = "imports of extras"

    def examine(self, directory: Path) -> Finding:
        extras = {
            name: set().union(*find_modules(package.requirement.name for package in needed).values())
            for name, needed in list_extras().items()
            if is_present(needed)
        }
        if not extras:
            return Finding("SKIPPED", "no extras are installed")
        broken = find_broken(sorted(set().union(*extras.values())), directory)
        if broken:
            names = [name for name, modules in extras.items() if modules & broken.keys()]
            reasons = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
            install = f"pip install --force-reinstall '{DISTRIBUTION}[{','.join(names)}]'"
            return Finding("FAILED", f"extras {', '.join(names)}: {reasons}", install)
        return Finding("OK", f"{len(extras)} extras can be imported")


def find_modules(distributions: Iterable[str]) -> dict[str, set[str]]:
    """
    :param distributions: names of packages as for pip; those that are not installed are left out
    :return: name -> its public top-level modules
    """
    wanted = {canonicalize_name(name): name for name in distributions}
    found: dict[str, set[str]] = {}
    for module, owners in packages_distributions().items():
        if module.isidentifier() and not module.startswith("_"):
            for owner in {canonicalize_name(owner) for owner in owners} & wanted.keys():
                found.setdefault(wanted[owner], set()).add(module)
    return found


def find_broken(modules: Iterable[str], directory: Path) -> dict[str, str]:
    """
    Import modules in another process.

    :param modules: names of modules
    :param directory: an empty directory
    :return: module -> why it cannot be imported
    """
    results = directory / "imports"
    broken: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        results.write_text("")
        command = [sys.executable, "-c", _CODE, str(results), *waiting]
        with (directory / "log").open("w") as log:
            try:
                status = subprocess.run(command, stdout=log, stderr=log, timeout=_TIMEOUT_SECONDS).returncode
            except subprocess.TimeoutExpired:
                status = None
        lines: dict[str, str | None] = dict(json.loads(line) for line in results.read_text().splitlines())
        broken |= {name: reason for name, reason in lines.items() if reason}
        ended_in = [name for name, reason in lines.items() if reason is None]
        broken |= dict.fromkeys(ended_in, _explain(status))
        if not lines:
            raise RuntimeError(f"Python cannot be started: {_explain(status)}")
        waiting = [name for name in waiting if name not in lines]
    return broken


def _explain(status: int | None) -> str:
    """:param status: exit status of the process in which an import did not end; ``None`` if it has been killed here"""
    if status is None:
        return "the import does not end"
    explanation = TaskEnd(Task("import", (), Path()), status).explanation
    return f"the import is {explanation}" if status < 0 else f"the import ends the process: {explanation}"
