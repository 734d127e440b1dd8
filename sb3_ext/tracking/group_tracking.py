"""Log a group of runs, such as a study or a sweep, to its trackers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.redaction import describe_safely
from sb3_ext.tracking.tracker import RunGroup
from sb3_ext.tracking.tracker_registry import make_trackers

logger = logging.getLogger(__name__)


@contextmanager
def tracking_group(
    group: RunGroup,
    section: Mapping[str, Mapping[str, Any] | None],
    summarize: Callable[[], tuple[str, Mapping[str, Any]]],
) -> Iterator[None]:
    """
    Log a group while its runs are trained in the block. If a tracker cannot be reached, a warning is logged.

    :param group: the group
    :param section: the section ``tracking`` of the configuration
    :param summarize: returns the status, ``completed``, ``stopped`` or ``failed``, and a summary after the block; an
        error in the block gives the status ``failed``
    :raises Sb3ExtError: before the block, if a tracker reports an error that the user must correct
    """
    trackers = make_trackers(section)
    for tracker in trackers.values():
        tracker.check_login()
    for name, tracker in list(trackers.items()):
        try:
            tracker.start_group(group)
        except Sb3ExtError:
            raise
        except Exception as error:
            logger.warning("tracker %s: the group %s is not logged: %s", name, group.name, describe_safely(error))
            del trackers[name]
    has_failed = True
    try:
        yield
        has_failed = False
    finally:
        status, summary = summarize()
        for name, tracker in trackers.items():
            try:
                tracker.finish_group(group, "failed" if has_failed else status, summary)
            except Exception as error:
                logger.warning(
                    "tracker %s: the end of the group %s is not logged: %s", name, group.name, describe_safely(error)
                )
