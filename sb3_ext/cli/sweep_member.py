"""
``sb3-ext`` in a process of a sweep: it ends with the process that started it.

``python -m sb3_ext.cli.sweep_member train …``
"""

from __future__ import annotations

import os
import sys

from sb3_ext.cli import main
from sb3_ext.runs.parent_watch import end_with_parent

if __name__ == "__main__":
    # As a copy, not through sys.stdin: a thread that waits in there would keep the process from ending.
    end_with_parent(os.dup(sys.stdin.fileno()))
    main()
