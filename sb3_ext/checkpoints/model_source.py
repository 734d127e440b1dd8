"""Find a model by the name or path of a run, a checkpoint or a zip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sb3_ext.checkpoints.bundle.bundle import MANIFEST, Bundle, verify_bundle
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import CheckpointError, RunError
from sb3_ext.runs.run import Run, is_run
from sb3_ext.runs.run_registry import RUNS, explain_group, find_run, find_run_of


@dataclass(frozen=True)
class Target:
    """
    The target of a path or name: a run, a checkpoint (of a run or copied from one), or another zip.

    :param text: the path or name as given
    :param run: the run, or the run that the checkpoint belongs to; ``None`` if there is none
    :param checkpoint: directory of the checkpoint, without links
    :param zip_path: a zip that is not a checkpoint of this package
    """

    text: str
    run: Run | None = None
    checkpoint: Path | None = None
    zip_path: Path | None = None


@dataclass(frozen=True)
class ModelSource:
    """
    The files of a model.

    :param path: directory of a checkpoint, or a zip
    :param bundle: the checkpoint, whose files for playing are verified; ``None`` for a zip
    :param run: the run that the model belongs to; ``None`` if there is none
    """

    path: Path
    bundle: Bundle | None = None
    run: Run | None = None

    @property
    def name(self) -> str:
        """Its name in tables and plots."""
        return self.path.stem if self.bundle is None else self.path.name


def find_target(target: str | Path) -> Target:
    """
    Find what a path or name refers to.

    :param target: a checkpoint's directory or its ``model.zip``; any other zip; a run directory, or the name of a run
        below ``runs``
    :return: the target; no file of a model is read
    :raises RunError: if it is none of these; the message has the nearest name of a run
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
        if not path.is_dir() or explain_group(path) is not None:
            raise
    raise RunError(f"{path}: is neither a run nor a checkpoint: it has no status.json, no meta.json and no {MANIFEST}")


def find_model(target: str | Path | ModelSource, checkpoint: str | int | None = None) -> ModelSource:
    """
    Find a model.

    :param target: see :func:`find_target`; a ``ModelSource`` is returned unchanged
    :param checkpoint: ``best``, ``latest`` or a step of a run; ``None`` for the best, or the latest if none has a score
    :return: the files of the model
    :raises CheckpointError: if nothing is found, the checkpoint is damaged, or ``checkpoint`` is given without a run
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
        what = "a single checkpoint" if found.zip_path is None else "a single model, not a run"
        hint = ", or name the run instead" if found.zip_path is None else ""
        raise CheckpointError(f"{target}: is {what}; leave out --checkpoint {checkpoint}{hint}")
    if found.zip_path is not None:
        return ModelSource(found.zip_path)
    assert found.checkpoint is not None
    return ModelSource(found.checkpoint, verify_bundle(found.checkpoint, playing_only=True), found.run)
