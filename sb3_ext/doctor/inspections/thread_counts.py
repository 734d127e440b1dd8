"""Cores and threads."""

from __future__ import annotations

import os
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.vec.workers.worker_split import count_cores

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ThreadCounts(Check):
    """Compare torch's threads with the cores that this process may use."""

    name = "threads"

    def examine(self, directory: Path) -> Finding:
        import torch

        threads, cores = torch.get_num_threads(), count_cores()
        variables = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
        detail = f"{threads} threads of torch, {cores} of {os.cpu_count()} cores{''.join(f', {v}' for v in variables)}"
        if threads > cores:
            return Finding("WARNING", f"{detail}: the threads compete", f"export OMP_NUM_THREADS={cores}")
        return Finding("OK", detail)
