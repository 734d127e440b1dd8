"""Where environments are stepped fastest: chosen in a moment for ``parallel.mode: auto``, tried out by ``advise``."""
