"""Send what trackers have missed of a run that is not training."""

from __future__ import annotations

from sb3_ext.building.run_config import load_run_config
from sb3_ext.building.trackers import describe_tracked_run
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import RunError
from sb3_ext.output_file import validate_output_directory
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.run import Run
from sb3_ext.tracking.delivery import SyncOutcome
from sb3_ext.tracking.media import find_media
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.tracking.tracker_registry import make_trackers

_KILLED = "the process was killed"


def sync_trackers(run: Run) -> list[SyncOutcome]:
    """
    Send what is left in the journal of a run, and new videos and results of a league, to the trackers that its
    configuration names.

    Of a run that was killed, that is what was logged until its last checkpoint, from which it would resume.

    :param run: the run
    :return: how it went, by tracker
    :raises RunError: if the run is training, has no tracker but TensorBoard, or cannot be written
    :raises Sb3ExtError: if a tracker refuses it
    """
    paths = run.paths
    for place in (paths.root, paths.tracking_journal.parent):  # what is sent is recorded there
        validate_output_directory(place)
    record = run.record  # before the lock, by which it would seem to be running
    try:
        lock = RunLock(paths.lock)
    except BlockingIOError:
        raise RunError(f"{paths.root}: is running, and its own process serves its trackers; stop it first") from None
    except OSError as error:
        raise RunError(f"{paths.lock}: cannot be written: {error.strerror or error}") from error
    try:
        config = load_run_config(paths)
        trackers = {name: tracker for name, tracker in make_trackers(config.tracking).items() if not tracker.rewinds}
        if not trackers:
            raise RunError(f"{paths.root}: its configuration names no tracker but TensorBoard")
        has_ended = record.status != "dead"
        latest = None if has_ended else CheckpointStore(paths.checkpoints).find_latest(playing_only=True)
        step = record.step if has_ended else 0 if latest is None else latest.step
        served = RunTrackers(trackers, paths.tracking_journal, paths.tracking_states, lambda: step)
        parameters = config.model_dump(mode="json", by_alias=True)
        summary = None if has_ended else {"stop_reason": _KILLED}
        tracked = describe_tracked_run(paths, step)
        return served.sync(tracked, parameters, killed_summary=summary, files=find_media(paths.root))
    finally:
        lock.release()
