"""Whether OpenSpiel is part of the extra ``league``."""

from __future__ import annotations

import sys

import pytest

needs_openspiel = pytest.mark.skipif(sys.version_info < (3, 11), reason="no OpenSpiel for Python 3.10")
