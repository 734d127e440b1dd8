"""Choose where environments are stepped: in a fraction of a second for ``auto``, by measurements for ``advise``."""
