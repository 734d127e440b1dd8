"""``evaluations.jsonl``: one line an evaluation. A line that a killed process left unfinished costs only itself."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sb3_ext.atomic import write_text

logger = logging.getLogger(__name__)


def append_evaluation(path: Path, evaluation: Mapping[str, Any]) -> None:
    """
    Add a line, whole.

    :param path: the file; its directory exists
    :param evaluation: plain JSON values, ``step`` among them
    """
    line = json.dumps(evaluation, allow_nan=False).encode() + b"\n"
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """
    :param path: the file; it may be missing
    :return: one item a line, in the order of writing; lines that are none are left out
    """
    if not path.exists():
        return []
    evaluations = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            evaluation = json.loads(line)
        except ValueError:
            evaluation = None
        if isinstance(evaluation, dict) and "step" in evaluation:
            evaluations.append(evaluation)
        else:
            logger.warning("%s:%d: not an evaluation, ignored", path, number)
    return evaluations


def rewind_evaluations(path: Path, step: int) -> None:
    """
    Drop what a training that goes back to an earlier checkpoint will do again.

    :param path: the file; it may be missing
    :param step: the checkpoint's; evaluations of later ones are dropped
    """
    evaluations = read_evaluations(path)
    kept = [evaluation for evaluation in evaluations if evaluation["step"] <= step]
    if len(kept) < len(evaluations):
        write_text(path, "".join(json.dumps(evaluation) + "\n" for evaluation in kept))
