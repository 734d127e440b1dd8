"""
Log runs to TensorBoard, and to services that store and compare many runs.

A tracker is a subclass of :class:`~sb3_ext.tracking.tracker.Tracker`. The section ``tracking`` of a configuration lists
the trackers of a run.
"""

from sb3_ext.tracking.tracker import RunGroup, TrackedRun, Tracker

__all__ = ["RunGroup", "TrackedRun", "Tracker"]
