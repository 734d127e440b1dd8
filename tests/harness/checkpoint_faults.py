"""
Break the saving of checkpoints in every way that a machine can, and look at what is left.

One save of a DQN, with its replay buffer and with the removal of an old checkpoint, is done again and again:

- the process dies before, and after, each file operation;
- each file operation fails once with EIO; from each one on, all that take space fail with ENOSPC;
- the disk is really full: a limit on the size of files, and a small tmpfs where mounting is permitted;
- the latest checkpoint is cut short, or one of its bits is flipped.

Each time the checkpoint from before or the new one must load to the bit, a failed save must be one error and the next
save must succeed, and after the next start no temporary file may be left::

    python tests/harness/checkpoint_faults.py
    python tests/harness/checkpoint_faults.py --every 10 --truncations 40 --bit-flips 100
"""

from __future__ import annotations

import argparse
import errno
import logging
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from checkpoint_bench import EVERY_STEPS, Bench, count_errors, make_model, run_in_child
from fault_injection import Fault, FaultyDisk
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import BundleWriter
from sb3_ext.checkpoints.store.retention import Retention


def try_fault(bench: Bench, fault: Fault) -> str | None:
    """:return: what is wrong after it"""
    store = bench.copy()
    result = run_in_child(lambda: bench.save(store, FaultyDisk(fault)))
    if fault.crash is not None and result is not None:
        return f"expected a crash, but {result}"
    if fault.crash is None and (not isinstance(result, list) or result[0] > 1 or not result[1]):
        return f"expected at most one error and a good save after it, but {result}"
    return bench.find_problem(store)


def try_faults(bench: Bench, every: int) -> Iterator[tuple[str, list[str | None]]]:
    """Yields the kind of fault, and what was wrong after each one."""
    store = bench.copy()
    operations = run_in_child(lambda: _list_operations(bench, store))
    places = range(0, len(operations), every)
    print(f"one save has {len(operations)} file operations")
    for crash in ("before", "after"):
        yield f"crash {crash} an operation", [try_fault(bench, Fault(place, crash=crash)) for place in places]
    yield "EIO", [try_fault(bench, Fault(place, error=errno.EIO)) for place in places]
    yield "ENOSPC", [try_fault(bench, Fault(place, error=errno.ENOSPC, lasts=True)) for place in places]


def try_size_limits(bench: Bench) -> Iterator[str | None]:
    """A limit on the size of files fails on every system as a full disk does: in the middle of a write."""

    def save_within(limit: int) -> Any:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        with BundleWriter(store) as writer:
            content = writer.capture(bench.model)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
            writer.save(content)
            errors = count_errors(writer)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            writer.save(content)
            return errors, count_errors(writer)

    for limit in (0, 100, 2_000, 5_000, 20_000):
        store = bench.copy()
        result = run_in_child(lambda limit=limit: save_within(limit))  # type: ignore[misc]
        yield bench.find_problem(store) if result == [1, 0] else f"with {limit} bytes: {result}"


def try_tmpfs() -> str:
    """:return: how saving into a really full file system went: ``good``, ``not permitted here``, or what is wrong"""
    with tempfile.TemporaryDirectory() as directory:
        mount = 'mount -t tmpfs -o size=400k none "$0" && exec "$@"'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, directory]
        if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
            return "not permitted here"
        result = subprocess.run(
            [*command, sys.executable, __file__, "--fill", directory], capture_output=True, text=True
        )
        return "good" if result.returncode == 0 else (result.stderr.strip() or result.stdout.strip())


def fill_disk(directory: Path) -> str | None:
    """
    Save until the disk is full, and make room again.

    :param directory: on a file system of a few hundred kilobytes
    :return: what is wrong
    """
    store, model, errors = CheckpointStore(directory / "checkpoints"), make_model(), 0
    with BundleWriter(store) as writer:
        while not errors:
            good = store.find_latest()
            writer.save(writer.capture(model.learn(EVERY_STEPS, reset_num_timesteps=False)))
            errors = count_errors(writer)
        if good is None or store.find_latest() != good or list(store.directory.glob(".*")):
            return f"the full disk has {sorted(path.name for path in store.directory.iterdir())}"
        store.prune(Retention(keep_last=1))
        writer.save(writer.capture(model))
        return "there is room again, but no checkpoint" if count_errors(writer) else None


def try_damage(bench: Bench, kind: str, count: int, dice: random.Random) -> Iterator[str | None]:
    """The latest checkpoint is damaged again and again: it must be noticed, and the one before be used."""
    store = bench.copy()
    latest, previous = store.list_bundles()
    files = [path for path in latest.path.rglob("*") if path.is_file()]
    for _ in range(count):
        path = dice.choice(files)
        original = path.read_bytes()
        changed, place = bytearray(original), dice.randrange(len(original))
        if kind == "bit flips":
            changed[place] ^= 1 << dice.randrange(8)
        else:
            del changed[place:]
        path.write_bytes(changed)
        yield None if store.find_latest() == previous else f"{path.name} at {place} is not noticed"
        path.write_bytes(original)


def _list_operations(bench: Bench, store: CheckpointStore) -> list[str]:
    disk = FaultyDisk()
    bench.save(store, disk)
    return disk.operations


def main() -> int:
    """:return: the exit status: 0 if everything was as it must be"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="try every n-th file operation")
    parser.add_argument("--truncations", type=int, default=400)
    parser.add_argument("--bit-flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fill", type=Path, help="only fill the small file system that is mounted here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("sb3_ext").setLevel(logging.ERROR)  # each damaged checkpoint is a warning
    if options.fill is not None:
        problem = fill_disk(options.fill)
        print(problem or "good")
        return int(problem is not None)
    dice, failures = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        damage = {"truncations": options.truncations, "bit flips": options.bit_flips}
        results = [*try_faults(bench, options.every), ("limits on the size of files", list(try_size_limits(bench)))]
        results += [(kind, list(try_damage(bench, kind, count, dice))) for kind, count in damage.items()]
    for name, problems in results:
        found = [problem for problem in problems if problem is not None]
        print(f"{name}: {len(problems) - len(found)} of {len(problems)} good", *found[:5], sep="\n  ")
        failures += len(found)
    tmpfs = try_tmpfs()
    print(f"a small tmpfs: {tmpfs}")
    return int(failures > 0 or tmpfs not in ("good", "not permitted here"))


if __name__ == "__main__":
    sys.exit(main())
