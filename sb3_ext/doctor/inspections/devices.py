"""What torch can compute on."""

from __future__ import annotations

import shutil
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding

_SIZE = 64  # of the matrices that are multiplied


class Devices(Check):
    """Multiply matrices on each device, and compare the results with the CPU's."""

    name = "devices"

    def examine(self, directory: Path) -> Finding:
        import torch

        names = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            names.append("mps")
        matrix = torch.linspace(-1, 1, _SIZE * _SIZE).reshape(_SIZE, _SIZE)
        expected = (matrix.double() @ matrix.double()).float()
        described = []
        for name in names:
            product = (matrix.to(name) @ matrix.to(name)).cpu()
            if not torch.allclose(product, expected, rtol=1e-2, atol=1e-2):
                advice = "train with --device cpu; update the driver and torch"
                return Finding("FAILED", f"{name}: a product of matrices is wrong", advice)
            described.append(f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name)
        detail = f"{', '.join(described)}; torch {torch.__version__}, CUDA {torch.version.cuda or 'not built in'}"
        if shutil.which("nvidia-smi") is not None and not torch.cuda.is_available():
            advice = "install a torch for the driver's version of CUDA: https://pytorch.org/get-started/locally"
            return Finding("WARNING", f"{detail}; this machine has NVIDIA's driver, but torch finds no GPU", advice)
        return Finding("OK", detail)
