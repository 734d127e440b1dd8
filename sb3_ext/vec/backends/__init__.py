"""Environment back ends: everything that depends on ``parallel.mode``, a file a mode."""
