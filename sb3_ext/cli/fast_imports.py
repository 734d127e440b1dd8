"""Import torch and SB3 in less time, for commands."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing_sb3() -> Iterator[None]:
    """
    Import SB3, and with it torch, before the imports of the block, and collect no garbage until its end.

    What is imported by then is never garbage: later collections skip it. Does nothing if SB3 is already imported.
    """
    if "stable_baselines3" in sys.modules:
        yield
        return
    from sb3_ext.internals.sb3_imports import import_sb3

    gc.disable()
    try:
        import_sb3()
        yield
    finally:
        gc.freeze()
        gc.enable()
