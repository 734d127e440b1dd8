"""
The checkpoints of a run, found by scanning their directory.

::

    checkpoints/
    ├── step_000010000/           a bundle
    ├── step_000012000.corrupt/   a damaged one, renamed
    ├── best -> step_000010000    for users and stock SB3; this package scans the manifests
    └── latest -> step_000012000
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path

from sb3_ext.atomic import fsync_path, remove_abandoned
from sb3_ext.checkpoints.bundle.bundle import Bundle, open_bundle, record_score, verify_bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import BundleContent
from sb3_ext.checkpoints.bundle.manifest import Score, is_inside
from sb3_ext.checkpoints.store.links import point_link
from sb3_ext.checkpoints.store.retention import Candidate, Retention, choose_kept
from sb3_ext.config.callback_schema import CheckpointParams
from sb3_ext.errors import CheckpointError

logger = logging.getLogger(__name__)

_DEFAULTS = CheckpointParams()
_NAME = re.compile(r"(?!\.).+_(\d{9,})")
_SET_ASIDE = re.compile(_NAME.pattern + r"\.(corrupt|rewound)(-\d+)?")
BEST, LATEST = "best", "latest"


class CheckpointStore:
    """
    The ``checkpoints/`` directory of a run.

    :param directory: the directory, which need not exist yet
    :param prefix: prefix of the names of new bundles
    :raises ValueError: if the prefix is not a plain name
    """

    def __init__(self, directory: Path, *, prefix: str = _DEFAULTS.prefix) -> None:
        if "/" in prefix or not is_inside(prefix):
            raise ValueError(f"prefix must be a plain name, but got {prefix!r}")
        self.directory = directory
        self.prefix = prefix

    def prepare(self) -> None:
        """
        Create the directory, and remove temporary files of killed processes. Only for the owner of the run.

        :raises CheckpointError: if the directory cannot be created
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for directory in (self.directory, *self._list_directories()):
                remove_abandoned(directory)
        except OSError as error:
            raise CheckpointError(f"{self.directory} cannot be used for checkpoints: {error.strerror}") from error

    def name_path(self, step: int) -> Path:
        """
        :param step: environment transitions so far
        :return: path of the bundle of this step
        """
        return self.directory / f"{self.prefix}_{step:09d}"

    def add(self, content: BundleContent, previous: Bundle | None = None) -> Bundle:
        """
        Write a bundle and verify it. An intact bundle of the same step is reused; a damaged one is renamed.

        :param content: the captured content
        :param previous: bundle with the replay rows that the content refers to
        :return: the bundle
        :raises CheckpointError: if the disk fails or is full; existing bundles stay intact
        """
        path = self.name_path(content.step)
        if path.exists():
            existing = self._find_intact([path], set_aside=True)
            if existing is not None:
                return existing if content.score in (None, existing.score) else record_score(existing, content.score)
        bundle = write_bundle(path, content, previous)
        verify_bundle(path, known_good=() if previous is None else _list_shared(path, previous))
        return bundle

    def record_score(self, step: int, score: Score) -> Bundle:
        """
        Record the score of an evaluation that ended after the bundle was written.

        :param step: step of the bundle
        :param score: its score
        :return: the updated bundle
        :raises CheckpointError: if there is no such bundle, or the disk fails or is full
        """
        bundle = record_score(open_bundle(self._find_step(step)), score)
        self.update_links()
        return bundle

    def list_bundles(self) -> list[Bundle]:
        """
        :return: bundles with an intact manifest and all files, newest first
        """
        bundles = []
        for path in self._list_directories():
            try:
                bundles.append(open_bundle(path))
            except CheckpointError as error:
                logger.debug("%s", error)
        return bundles

    def find_latest(self, *, set_aside: bool = False, playing_only: bool = False) -> Bundle | None:
        """
        :param set_aside: rename damaged bundles; only for the owner of the run
        :param playing_only: do not read what only a resume needs, such as a large replay buffer
        :return: the newest intact bundle; ``None`` if there is none
        """
        return self._find_intact(self._list_directories(), set_aside=set_aside, playing_only=playing_only)

    def find_best(self, *, playing_only: bool = False) -> Bundle | None:
        """
        :param playing_only: do not read what only a resume needs
        :return: the intact bundle with the highest score, the newest of several; ``None`` if there is none
        """
        best_first = [bundle.path for bundle in rank_bundles(self.list_bundles())]
        return self._find_intact(best_first, playing_only=playing_only)

    def resolve(self, which: str | int | Path | None = None, *, playing_only: bool = False) -> Bundle:
        """
        Find a checkpoint by what a user gives.

        :param which: ``best``, ``latest``, a step, or the path of a bundle or its ``model.zip``; ``None`` for the
            best, or the latest if none has a score
        :param playing_only: do not read what only a resume needs
        :return: the bundle, verified
        :raises CheckpointError: if there is none, or it is damaged
        """
        if which is None:
            return self.find_best(playing_only=playing_only) or self.resolve(LATEST, playing_only=playing_only)
        if which in (BEST, LATEST):
            find = self.find_best if which == BEST else self.find_latest
            bundle = find(playing_only=playing_only)
            if bundle is None:
                reason = "has a score yet; try latest" if which == BEST and self.list_bundles() else "is intact"
                raise CheckpointError(f"no checkpoint in {self.directory} {reason}")
            return bundle
        if isinstance(which, int) or (isinstance(which, str) and which.isdecimal()):
            return verify_bundle(self._find_step(int(which)), playing_only=playing_only)
        path = Path(which)
        if not path.exists():
            steps = ", ".join(str(_read_step(known)) for known in reversed(self._list_directories()))
            known = f"{BEST}, {LATEST} and the steps {steps}" if steps else "none"
            raise CheckpointError(f"no checkpoint '{which}' in {self.directory}; there are {known}")
        return verify_bundle((path if path.is_dir() else path.parent).resolve(), playing_only=playing_only)

    def set_aside(self, path: Path, suffix: str) -> Path:
        """
        Rename a bundle so that scans ignore it.

        :param path: the bundle
        :param suffix: the reason, such as ``corrupt``
        :return: its new path
        :raises CheckpointError: if it cannot be renamed
        """
        for number in range(1, 1000):
            aside = path.with_name(f"{path.name}.{suffix}" + (f"-{number}" if number > 1 else ""))
            if not aside.exists():
                break
        try:
            path.rename(aside)
            fsync_path(self.directory)
        except OSError as error:
            raise CheckpointError(f"{path} could not be renamed to {aside.name}: {error.strerror}") from error
        return aside

    def set_aside_newer(self, step: int) -> list[Path]:
        """
        Rename all bundles after a step to ``….rewound``, to resume from that step in place.

        :param step: the step to resume from
        :return: the new paths
        :raises CheckpointError: if one cannot be renamed
        """
        newer = [path for path in self._list_directories() if _read_step(path) > step]
        aside = [self.set_aside(path, "rewound") for path in newer]
        self.update_links()
        return aside

    def list_set_aside(self) -> list[Path]:
        """:return: paths of the bundles that :meth:`set_aside` has renamed"""
        entries = self.directory.iterdir() if self.directory.is_dir() else ()
        return sorted(path for path in entries if _SET_ASIDE.fullmatch(path.name) and path.is_dir())

    def remove_set_aside(self) -> None:
        """
        Remove the bundles that :meth:`set_aside` has renamed.

        :raises CheckpointError: if one cannot be removed
        """
        for path in self.list_set_aside():
            self._remove(path)

    def update_links(self) -> None:
        """Update the links ``latest`` and ``best``. A failure is only logged, since nothing depends on them."""
        bundles = self.list_bundles()
        targets = {LATEST: bundles[:1], BEST: rank_bundles(bundles)[:1]}
        try:
            for name, target in targets.items():
                point_link(self.directory / name, target[0].path.name if target else None)
        except OSError as error:
            logger.warning("Links in %s could not be updated: %s", self.directory, error.strerror)

    def prune(self, retention: Retention, *, spare: Collection[int] = ()) -> list[int]:
        """
        Remove the bundles that no rule keeps.

        :param retention: the rules
        :param spare: steps of bundles to keep in any case
        :return: the steps of the bundles removed
        :raises CheckpointError: if one cannot be removed
        """
        removed = [bundle for bundle in self.list_prunable(retention) if bundle.step not in spare]
        for bundle in removed:
            self._remove(bundle.path)
        return [bundle.step for bundle in removed]

    def list_prunable(self, retention: Retention) -> list[Bundle]:
        """
        :param retention: the rules
        :return: the bundles that no rule keeps
        """
        bundles = self.list_bundles()
        scores = {bundle.path: bundle.score.value for bundle in rank_bundles(bundles) if bundle.score}
        candidates = [Candidate(bundle.step, scores.get(bundle.path), _list_files(bundle)) for bundle in bundles]
        kept = choose_kept(candidates, retention)
        return [bundle for bundle in bundles if bundle.step not in kept]

    def _find_intact(
        self, paths: Collection[Path], *, set_aside: bool = False, playing_only: bool = False
    ) -> Bundle | None:
        for path in paths:
            try:
                return verify_bundle(path, playing_only=playing_only)
            except CheckpointError as error:
                logger.warning("%s; trying the checkpoint before it", error)
                if set_aside:
                    self.set_aside(path, "corrupt")
        return None

    def _find_step(self, step: int) -> Path:
        paths = {_read_step(path): path for path in self._list_directories()}
        if step not in paths:
            known = ", ".join(str(known) for known in sorted(paths)) or "none"
            raise CheckpointError(f"no checkpoint of step {step} in {self.directory}; there are {known}")
        return paths[step]

    def _list_directories(self) -> list[Path]:
        try:
            found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
            directories = [path for path in found if path.is_dir() and not path.is_symlink()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{self.directory} cannot be read: {error.strerror}") from error
        return sorted(directories, key=_read_step, reverse=True)

    def _remove(self, path: Path) -> None:
        # Rename first: a partly removed bundle would look damaged.
        hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.rename(hidden)
            fsync_path(self.directory)
            shutil.rmtree(hidden)
        except OSError as error:
            raise CheckpointError(f"{path} could not be removed: {error.strerror}") from error


def rank_bundles(bundles: Sequence[Bundle]) -> list[Bundle]:
    """
    :param bundles: the newest first
    :return: bundles whose score is of the same kind as the newest score, best first, then newest first
    """
    of = next((bundle.score.of for bundle in bundles if bundle.score), None)
    scored = [(bundle.score.value, bundle) for bundle in bundles if bundle.score and bundle.score.of == of]
    return [bundle for _, bundle in sorted(scored, key=lambda pair: -pair[0])]


def _read_step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _list_shared(path: Path, previous: Bundle) -> list[str]:
    names = [name for name in previous.manifest.files if (path / name).exists()]
    return [name for name in names if (path / name).samefile(previous.path / name)]


def _list_files(bundle: Bundle) -> dict[Hashable, int]:
    statistics = [(bundle.path / name).stat() for name in bundle.manifest.files]
    return {(found.st_dev, found.st_ino): found.st_size for found in statistics}
