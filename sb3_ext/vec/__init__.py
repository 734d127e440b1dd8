"""Environments: made, combined, stepped in other processes, saved and restored."""

import lazy_loader

# __init__.pyi has the public names; the import of one does not load the modules of the others.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
