"""Scripts of the kinds that SB3's users write resume exactly once a checkpoint callback is added in two lines."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from stable_baselines3.common.save_util import load_from_zip_file

from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore

SCRIPTS = sorted((Path(__file__).parent / "data/scripts").glob("*.py"))


LEARN = re.compile(r"model\.learn\((?P<steps>[\d_]+)(?:, callback=(?P<callback>\w+))?\)\n")


def add_checkpoints(script: Path, directory: Path) -> Path:
    """:return: a copy of the script with an import and two lines, one of which replaces a line"""
    text = script.read_text()
    found = LEARN.search(text)
    assert found is not None
    callbacks = ", ".join(name for name in (found["callback"], "checkpoints") if name is not None)
    steps = f"checkpoints.resume_if_possible(model, {found['steps']})"
    lines = (
        'checkpoints = RunCheckpointCallback("checkpoints", interval=750)\n'
        f"model.learn({steps}, [{callbacks}], reset_num_timesteps=False)\n"
    )
    _, docstring, code = text[: found.start()].split('"""', 2)
    path = directory / script.name
    callback_import = "\nfrom sb3_ext.callbacks import RunCheckpointCallback"
    path.write_text(f'"""{docstring}"""{callback_import}{code}{lines}{text[found.end() :]}')
    return path


def load_weights(directory: Path) -> Mapping[str, torch.Tensor]:
    weights: Mapping[str, torch.Tensor] = load_from_zip_file(directory / "agent.zip")[1]["policy"]
    return weights


@contextmanager
def starting(script: Path, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a script, and kill it at the end of the block if it is still running."""
    directory.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=directory,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_after_checkpoint(script: Path, directory: Path, delay_seconds: float) -> None:
    """Kill the script some time after it has saved another checkpoint."""
    store = CheckpointStore(directory / "checkpoints")
    latest = store.find_latest()
    first_step = 0 if latest is None else latest.step
    with starting(script, directory) as process:
        deadline = time.monotonic() + 240
        while all(bundle.step <= first_step for bundle in store.list_bundles()):
            assert process.poll() is None, "the script ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(delay_seconds)
        assert process.poll() is None, "the script ended before it was killed"


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_that_is_killed_twice_learns_the_same_as_without_checkpoints(script: Path, tmp_path: Path) -> None:
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    with starting(script, plain) as process:
        assert process.wait(300) == 0
    changed = add_checkpoints(script, tmp_path)
    randomness = random.Random(1)
    for _ in range(2):
        kill_after_checkpoint(changed, killed, randomness.uniform(0, 0.1))
    assert not (killed / "agent.zip").exists()
    with starting(changed, killed) as process:
        assert process.wait(300) == 0
    expected, found = load_weights(plain), load_weights(killed)
    assert {name for name in expected if not torch.equal(expected[name], found[name])} == set()
