"""Find the runs below a directory, find a run by its name, and remove a run."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sb3_ext.errors import RunError
from sb3_ext.file_lock import is_locked
from sb3_ext.runs.directory_kind import STUDY, SWEEP, SWEEP_FILE, find_kind
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.paths import RUN_LINK
from sb3_ext.runs.run import LIVE_STATUSES, STALE_AFTER_SECONDS, Run, is_run

RUNS = Path("runs")
"""Directory in which runs are created and found by name."""

_SHOWN_MEMBERS = 3
_CONTINUE = {
    SWEEP: "to continue the sweep, give the same `sb3-ext train --seeds` command again",
    STUDY: "to continue the study, give the same `sb3-ext tune` command again",
}


def find_runs(root: Path, *, stale_after_seconds: float = STALE_AFTER_SECONDS) -> list[Run]:
    """
    Find the runs below a directory.

    :param root: a directory of runs, or of directories of runs; or a run directory
    :param stale_after_seconds: see :class:`Run`
    :return: the runs, sorted by name, ``seed_2`` before ``seed_10``; empty if the directory does not exist, since the
        first run creates it
    :raises RunError: if it is not a directory, or cannot be read
    """
    try:
        directories = [root] if is_run(root) else sorted(_walk_runs(root), key=_make_sort_key)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{root}: expected a directory of runs, but it cannot be read: {error.strerror}") from error
    return [Run(directory, stale_after_seconds=stale_after_seconds) for directory in directories]


def find_run(text: str, root: Path = RUNS, *, stale_after_seconds: float = STALE_AFTER_SECONDS) -> Run:
    """
    Find the run that a user names.

    :param text: a run directory, or the name of a run below ``root``
    :param root: directory in which runs are found by name
    :param stale_after_seconds: see :class:`Run`
    :return: the run
    :raises RunError: if there is no such run; the message suggests the most similar name, the run of a given file, or
        the runs of a given sweep or study
    """
    for directory in (Path(text), root / text):
        if is_run(directory):
            return Run(directory, stale_after_seconds=stale_after_seconds)
    runs = find_runs(root, stale_after_seconds=stale_after_seconds)
    matches = [run for run in runs if run.name == text]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"{text}: several runs have this name: {', '.join(str(run.paths.root) for run in matches)}")
    for directory in (Path(text), root / text):
        if (explanation := explain_group(directory)) is not None:
            raise RunError(explanation)
    if Path(text).exists():
        if (owner := _find_owner(Path(text))) is not None:
            raise RunError(f"{text}: expected a run, found a part of one; its run is {owner}")
        raise RunError(f"{text}: is not a run: it has neither a status.json nor a meta.json")
    nearest = difflib.get_close_matches(text, [run.name for run in runs], n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "" if runs else f"; {root} contains no runs"
    raise RunError(f"{text}: no run with this path, or with this name in {root}{hint}")


def find_run_group(text: str, root: Path = RUNS) -> list[Run]:
    """
    Find the run, or the runs of a sweep, that a user names.

    :param text: a run or a sweep: its directory, or its name below ``root``
    :param root: directory in which runs are found by name
    :return: the runs
    :raises RunError: if there is no such run, or the sweep has none yet
    """
    sweep = next((place for place in (Path(text), root / text) if (place / SWEEP_FILE).is_file()), None)
    if sweep is None:
        return [find_run(text, root)]
    runs = find_runs(sweep)
    if not runs:
        raise RunError(f"{sweep}: this sweep has no runs yet")
    return runs


def explain_group(directory: Path) -> str | None:
    """
    :param directory: any path
    :return: message for a user who names a sweep or a study where a single run is expected: its runs, and what to do;
        ``None`` if the directory is neither
    """
    kind = find_kind(directory)
    if kind not in _CONTINUE:
        return None
    names = [str(run.paths.root.relative_to(directory)) for run in find_runs(directory)]
    if not names:
        return f"{directory}: is {kind} that has no runs yet; {_CONTINUE[kind]}"
    shown = ", ".join(names[:_SHOWN_MEMBERS]) + (", …" if len(names) > _SHOWN_MEMBERS else "")
    count = "the run" if len(names) == 1 else f"the {len(names)} runs"
    return f"{directory}: is {kind} with {count} {shown}: name one, such as {directory / names[0]}; {_CONTINUE[kind]}"


def find_run_of(checkpoint: Path) -> Run | None:
    """
    :param checkpoint: directory of a checkpoint; its path may contain symbolic links
    :return: the run that the checkpoint belongs to; ``None`` if unknown
    """
    real = checkpoint.resolve()
    places = (checkpoint.absolute().parents[1], real.parents[1], (real.parent / RUN_LINK).resolve())
    return next((Run(place) for place in places if is_run(place)), None)


def check_removable(run: Run) -> None:
    """
    Raise an error if a run cannot be removed.

    :param run: a run
    :raises RunError: if it is running, or may not be deleted, also if only its last part may not
    """
    check_ended(run)
    for place in (run.paths.root, run.paths.root.absolute().parent):
        if not os.access(place, os.W_OK | os.X_OK):
            raise RunError(f"{run.paths.root}: cannot be removed: no permission to write in {place}")


def check_ended(run: Run, refused: str = "cannot be removed") -> None:
    """
    Raise an error if a run is running.

    :param run: a run; if its status is corrupt, only its lock is checked
    :param refused: what cannot be done, for the message
    :raises RunError: if it is running
    """
    try:
        is_live = run.status in LIVE_STATUSES
    except RunError:
        is_live = is_locked(run.paths.lock) is True
    if is_live:
        raise _make_refusal(run, refused)


def remove_run(run: Run) -> None:
    """
    Delete a run directory with all its content.

    :param run: a run that is not running
    :raises RunError: if it is running, or cannot be deleted
    """
    check_removable(run)
    try:
        lock = RunLock(run.paths.lock)  # no process can resume the run while it is deleted
        try:
            shutil.rmtree(run.paths.root)
        finally:
            lock.release()
    except BlockingIOError:
        raise _make_refusal(run, "cannot be removed") from None
    except OSError as error:
        raise RunError(f"{run.paths.root}: cannot be removed: {error.strerror or error}") from error


def _find_owner(path: Path) -> Path | None:
    """:return: the run directory that contains a file or folder, or that a checkpoint on another disk belongs to"""
    directory = next((parent for parent in path.absolute().parents if is_run(parent)), None)
    if directory is None and path.is_dir() and (run := find_run_of(path)) is not None:
        return run.paths.root
    return directory


def _walk_runs(root: Path) -> Iterator[Path]:
    for directory in _list_directories(root):
        if is_run(directory):
            yield directory
        else:
            with suppress(PermissionError):
                yield from filter(is_run, _list_directories(directory))


def _make_sort_key(path: Path) -> list[list[int | str]]:
    """:return: key by which numbers in names are compared as numbers"""
    return [[int(text) if text.isdecimal() else text for text in re.split(r"([0-9]+)", part)] for part in path.parts]


def _list_directories(parent: Path) -> list[Path]:
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def _make_refusal(run: Run, refused: str) -> RunError:
    root = run.paths.root
    stop = f"sb3-ext runs stop {shlex.quote(str(root))}"
    return RunError(f"{root}: {refused}: the run is still running; end it first with `{stop}`")
