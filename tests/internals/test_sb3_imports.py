"""SB3 without its progress bar and TensorBoard's writer, until something uses them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def test_rich_and_tensorboard_are_imported_when_sb3_uses_them(tmp_path: Path) -> None:
    code = """
    import sys
    from sb3_ext.internals.sb3_imports import import_sb3

    import_sb3()
    names = ("rich", "tensorboard", "tqdm.rich", "torch.utils.tensorboard")
    print([name for name in names if name in sys.modules])

    from stable_baselines3 import A2C
    from stable_baselines3.common import callbacks, logger

    output = logger.TensorBoardOutputFormat(sys.argv[1])
    values = {"loss": 1.0, "settings": logger.HParam({"lr": 0.1}, {"loss": 1.0})}
    output.write(values, dict.fromkeys(values, ()), 1)
    output.close()
    A2C("MlpPolicy", "CartPole-v1", n_steps=5, device="cpu").learn(5, progress_bar=True)

    from torch.utils.tensorboard import SummaryWriter
    from tqdm.rich import tqdm

    print(type(output.writer) is SummaryWriter, tqdm.__mro__[0].__module__)
    before = callbacks.tqdm
    import_sb3()  # does nothing
    print(callbacks.tqdm is before)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [lines[0], *lines[-2:]] == ["[]", "True tqdm.rich", "True"]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_missing_package_is_missing_for_sb3(tmp_path: Path) -> None:
    code = """
    import sys
    sys.modules["rich"] = sys.modules["tensorboard"] = None  # as if they were not installed
    from sb3_ext.internals.sb3_imports import import_sb3

    import_sb3()
    from stable_baselines3.common import callbacks, logger, utils
    print(callbacks.tqdm, logger.SummaryWriter, utils.SummaryWriter)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines() == ["None None None"], result.stderr
