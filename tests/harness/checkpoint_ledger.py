"""Every checkpoint that was ever seen in a run, and what may have become of it."""

from __future__ import annotations

import re
from pathlib import Path

from sb3_ext.checkpoints.bundle.bundle import Bundle, verify_bundle
from sb3_ext.checkpoints.store.retention import Candidate, Retention, choose_kept
from sb3_ext.errors import CheckpointError

_COMMITTED = re.compile(r"[^.].*_(\d{9,})")
_HIDDEN = re.compile(r"\..+_(\d{9,})\.\w+")


class CheckpointLedger:
    """
    Remembers the checkpoints of a run whose process is killed again and again.

    :param directory: the run's ``checkpoints/``; need not exist yet
    :param retention: the rule by which older ones may go
    """

    def __init__(self, directory: Path, retention: Retention) -> None:
        self.directory = directory
        self._retention = retention
        self._seen: dict[int, Candidate] = {}
        self._abandoned: set[str] = set()

    @property
    def newest_step(self) -> int:
        """Of all that were seen; 0 without any."""
        return max(self._seen, default=0)

    def look(self) -> int:
        """:return: how many have been seen so far, at a glance: the names alone"""
        for step in self._list_steps():
            self._seen.setdefault(step, Candidate(step, None, {}))
        return len(self._seen)

    def find_save(self) -> str | None:
        """:return: the hidden directory of a save under way, or that a killed process has left just now"""
        hidden = {name: int(match[1]) for name in self._list_names() if (match := _HIDDEN.fullmatch(name))}
        newest = max(self._list_steps(), default=-1)
        return next((name for name in hidden if hidden[name] > newest and name not in self._abandoned), None)

    def check(self) -> list[str]:
        """
        Read every checkpoint, after the process has ended.

        :return: what is wrong: a checkpoint that is damaged, or that is gone though the rule keeps it
        """
        problems = [f"{name} was set aside" for name in self._list_names() if ".corrupt" in name]
        good: dict[int, Bundle] = {}
        for step, path in self._list_steps().items():
            try:
                good[step] = verify_bundle(path)
            except CheckpointError as error:
                problems.append(str(error))
        self._seen.update({step: _make_candidate(bundle) for step, bundle in good.items()})
        lost = choose_kept(list(self._seen.values()), self._retention) - good.keys()
        problems += [f"the checkpoint of step {step} is lost" for step in sorted(lost)]
        if max(good, default=0) < self.newest_step:
            problems.append(f"the newest step went back from {self.newest_step} to {max(good, default=0)}")
        self._abandoned = {name for name in self._list_names() if _HIDDEN.fullmatch(name)}
        return problems

    def _list_steps(self) -> dict[int, Path]:
        matches = {name: _COMMITTED.fullmatch(name) for name in self._list_names()}
        return {int(match[1]): self.directory / name for name, match in matches.items() if match}

    def _list_names(self) -> list[str]:
        return [path.name for path in self.directory.iterdir()] if self.directory.is_dir() else []


def _make_candidate(bundle: Bundle) -> Candidate:
    score = None if bundle.score is None else bundle.score.value
    return Candidate(
        bundle.step, score, {(bundle.step, name): entry.size_bytes for name, entry in bundle.manifest.files.items()}
    )
