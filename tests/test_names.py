"""A name means one thing: no two modules and no two classes of the packages share theirs."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "sb3_ext" / "scaffold" / "template"  # of other projects
FILES = [
    path
    for folder in ("sb3_ext", "envs")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.is_relative_to(TEMPLATE)
]


def find_shared(places: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_modules_share_a_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        if not path.name.startswith("__"):
            places[path.name].append(str(path.relative_to(ROOT)))

    assert len(places) > 100
    assert find_shared(places) == {}


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert len(places) > 100
    assert find_shared(places) == {}


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    places = set(re.findall(r"`((?:sb3_ext|tests|zoo_scripts)/[\w./]*)`", text))

    assert len(places) > 20
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []
