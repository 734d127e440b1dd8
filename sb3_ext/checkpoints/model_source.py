"""From what a user names (a run, a checkpoint, a zip) to the model that is meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sb3_ext.checkpoints.bundle.bundle import MANIFEST, Bundle, verify_bundle
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import CheckpointError, RunError
from sb3_ext.runs.run import Run, is_run
from sb3_ext.runs.run_registry import RUNS, find_run, find_run_of


@dataclass(frozen=True)
class Target:
    """
    What a user names. Exactly one kind: a whole run, a checkpoint (of a run or copied from one), or another zip.

    :param text: as it was named
    :param run: the run; of a checkpoint, the run that it belongs to, if there is one
    :param checkpoint: the real directory of a checkpoint
    :param zip_path: a zip that is no checkpoint of this package
    """

    text: str
    run: Run | None = None
    checkpoint: Path | None = None
    zip_path: Path | None = None


@dataclass(frozen=True)
class ModelSource:
    """
    The files of a model.

    :param path: a checkpoint's directory, or a zip
    :param bundle: the checkpoint, verified for playing; ``None`` for a zip that is none
    :param run: the run that it belongs to, if there is one
    """

    path: Path
    bundle: Bundle | None = None
    run: Run | None = None

    @property
    def name(self) -> str:
        """In tables and pictures."""
        return self.path.stem if self.bundle is None else self.path.name


def find_target(target: str | Path) -> Target:
    """
    Find what a user names.

    :param target: a checkpoint's directory or its ``model.zip``; any other zip; a run directory, or the name of a run
        below ``runs``
    :return: what it is; no file of a model was read yet
    :raises RunError: if it is none of these; names the nearest run
    """
    path, text = Path(target), str(target)
    folder = path if path.is_dir() else path.parent
    if path.exists() and (folder / MANIFEST).is_file():
        return Target(text, find_run_of(folder), checkpoint=folder.resolve())
    if path.is_file() and not is_run(RUNS / path):
        return Target(text, zip_path=path)
    if path.suffix == ".zip" and not path.exists():
        raise RunError(f"{path} does not exist")
    try:
        return Target(text, find_run(text))
    except RunError:
        if not path.is_dir():
            raise
    raise RunError(f"{path}: is neither a run nor a checkpoint: it has no status.json, no meta.json and no {MANIFEST}")


def find_model(target: str | Path | ModelSource, checkpoint: str | int | None = None) -> ModelSource:
    """
    Find the model that a user means.

    :param target: as for :func:`find_target`; what was found before is returned as it is
    :param checkpoint: of a run: ``best``, ``latest`` or a step; the best when left out, the latest if none has a score
    :return: the model's files
    :raises CheckpointError: if it is no run, no checkpoint and no zip; if there is no such checkpoint, or it is
        damaged; or if one is to be chosen of what is no run
    """
    if isinstance(target, ModelSource):
        return target
    try:
        found = find_target(target)
    except RunError as error:
        raise CheckpointError(str(error)) from error
    if found.checkpoint is None and found.zip_path is None:
        assert found.run is not None
        bundle = CheckpointStore(found.run.paths.checkpoints).resolve(checkpoint, playing_only=True)
        return ModelSource(bundle.path, bundle, found.run)
    if checkpoint is not None:
        what = "one checkpoint" if found.zip_path is None else "one model, no run"
        hint = ", or name the run instead" if found.zip_path is None else ""
        raise CheckpointError(f"{target}: is {what}; leave out --checkpoint {checkpoint}{hint}")
    if found.zip_path is not None:
        return ModelSource(found.zip_path)
    assert found.checkpoint is not None
    return ModelSource(found.checkpoint, verify_bundle(found.checkpoint, playing_only=True), found.run)
