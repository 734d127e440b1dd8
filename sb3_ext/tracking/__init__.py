"""
Where a run logs to: TensorBoard, and services that keep and compare many runs.

A tracker is a subclass of :class:`~sb3_ext.tracking.tracker.Tracker`; the section ``tracking`` of a configuration names
those of a run.
"""

from sb3_ext.tracking.tracker import TrackedRun, Tracker

__all__ = ["TrackedRun", "Tracker"]
