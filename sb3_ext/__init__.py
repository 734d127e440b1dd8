"""
Train Stable-Baselines3 agents in runs that you can list, watch, stop and resume.

Importing this is cheap: torch is loaded by the first thing that needs it.
"""

import sys

import lazy_loader

# SB3 imports the old gym, which Procgen brings along, and gym's only use of this module is to print a banner.
sys.modules.setdefault("gym_notices", None)  # type: ignore[arg-type]

# __init__.pyi has the public names; the import of one does not load the modules of the others.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
