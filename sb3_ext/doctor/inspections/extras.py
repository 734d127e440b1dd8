"""Optional dependencies."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.requirement_list import DISTRIBUTION, RequiredPackage, list_extras


class Extras(Check):
    """List the extras that are installed and those that are not, and check the versions of the former."""

    name = "extras"

    def examine(self, directory: Path) -> Finding:
        extras = list_extras()
        present = {name: needed for name, needed in extras.items() if is_present(needed)}
        absent = [name for name in extras if name not in present]
        wrong = {name: bad for name, needed in present.items() if (bad := [p for p in needed if not p.is_in_bounds])}
        detail = f"installed: {', '.join(name for name in present if name not in wrong) or 'none'}"
        notes = tuple(f"absent: pip install '{DISTRIBUTION}[{name}]'" for name in absent)
        if wrong:
            reasons = "; ".join(f"{name}: {', '.join(map(str, bad))}" for name, bad in wrong.items())
            return Finding("FAILED", f"{reasons}; {detail}", f"pip install '{DISTRIBUTION}[{','.join(wrong)}]'", notes)
        return Finding("OK", detail, notes=notes)


def is_present(needed: list[RequiredPackage]) -> bool:
    """
    :param needed: what an extra needs
    :return: whether all of it is installed, in any version
    """
    return all(package.installed is not None for package in needed)
