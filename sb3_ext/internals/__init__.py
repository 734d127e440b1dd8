"""
Private names of other libraries: one module a library, and no other module of this package uses any.

Each function names one access and says what it is needed for. ``tests/internals`` checks every one against the
installed release, and that no private name is used elsewhere; the releases that it was checked with bound the
dependencies in ``pyproject.toml``.
"""
