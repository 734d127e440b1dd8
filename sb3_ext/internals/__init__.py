"""
Access private names of other libraries, each in modules of its own. Other modules of this package use no private names.

``tests/internals`` checks each name against the installed release, and that private names are not used elsewhere. The
dependencies in ``pyproject.toml`` are limited to the checked releases.
"""
