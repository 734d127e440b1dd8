"""
Is a resumed training the same, to the bit, as one that was never interrupted?

Every case is trained whole, and in parts, each resumed in a new process, from checkpoint to checkpoint, with the state
captured at every boundary. The digests (weights, optimizers, replay buffer, statistics, generators, logged values,
episodes) must be equal. With the default stops, also one part of the restore at a time is undone, and the digests must
differ.

    python tests/harness/exactness.py
    python tests/harness/exactness.py --mode workers
    python tests/harness/exactness.py --full --stop-steps 60 150 270 --filter SAC
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from exactness_ablations import ABLATIONS
from exactness_cases import MODES, Case, list_all_cases, list_quick_cases

STOP_STEPS = [70, 180]
PARTS = Path(__file__).with_name("exactness_parts.py")


def run_part(part: str, folder: Path, cases: list[Case], *options: str) -> dict[str, dict[str, str]]:
    """:return: the digests of what was trained in a new process"""
    command = [sys.executable, PARTS, part, folder, *options]
    names = "\n".join(case.name for case in cases)
    output = subprocess.run(command, input=names, stdout=subprocess.PIPE, text=True, check=True).stdout
    digests: dict[str, dict[str, str]] = json.loads(output)
    return digests


def compare(cases: list[Case], stop_steps: list[int], folder: Path) -> dict[str, dict[str, bool]]:
    """:return: of each case and each ablation, what came out"""
    first_stop, *later_stops = stop_steps
    digests = run_part("whole-and-to-stop", folder, cases, f"--stop-step={first_stop}")
    for stop_step in later_stops:
        run_part("to-stop", folder, cases, f"--stop-step={stop_step}")
    # Shortly before the end, say, there may be nothing left that a part of the restore is needed for.
    digests |= run_part("to-end", folder, cases, *(["--ablations"] if stop_steps == STOP_STEPS else []))
    whole = digests["whole"]
    return {
        "cases": {name: digests["resumed"][name] == digest for name, digest in whole.items()},
        "ablations": {name: digest != whole[ABLATIONS[name][0].name] for name, digest in digests["spoiled"].items()},
    }


def print_table(results: dict[str, dict[str, bool]]) -> None:
    """One line a case."""
    print(f"{'case':<72} resumed")
    for name, is_same in results["cases"].items():
        print(f"{name:<72} {'same' if is_same else 'DIFFERENT'}")
    print(f"\n{'undone':<72} noticed")
    for name, is_noticed in results["ablations"].items():
        print(f"{name:<72} {'yes' if is_noticed else 'NO'}")


def main() -> int:
    """:return: the exit status: 0 if everything is as it should be"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the whole matrix instead of a quick selection")
    parser.add_argument("--mode", choices=MODES, help="parallel.mode of all cases, instead of various ones")
    parser.add_argument("--filter", default="", help="only cases whose name has this in it")
    parser.add_argument("--stop-steps", type=int, nargs="+", default=STOP_STEPS, help="where to interrupt (of 300)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    list_cases = list_all_cases if arguments.full else list_quick_cases
    cases = [case for case in list_cases(arguments.mode) if arguments.filter in case.name]
    with tempfile.TemporaryDirectory() as folder:
        results = compare(cases, arguments.stop_steps, Path(folder))
    if arguments.json:
        print(json.dumps(results))
    else:
        print_table(results)
    return 0 if all(all(outcomes.values()) for outcomes in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
