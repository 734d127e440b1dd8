"""
Leave out each ingredient of a training in self-play: how many moves are right after how many steps, at equal time.

``python zoo_scripts/benchmark_selfplay_learning.py --minutes 10 --runs runs/ingredients --figure ingredients.png``

Each variant of ``connect4_maskable_ppo`` trains in a process of its own with one thread, ``--jobs`` of them at the same
time, and stops after the same time. Greedy moves are counted in solved positions (the extra ``solver``) of the exam's
own seed, which training does not see. With ``--figure`` the curves are drawn. Trainings that are in the directory
already are not repeated. ``--exploiter RUN`` adds a training with an exploiter among the opponents, such as
``sb3-ext league --exploit`` trains.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure

_HERE = Path(__file__).parent
_SHIPPED = "connect4_maskable_ppo"
_SELF_PLAY = "train.opponent_sampler.params.self_play"
_SMALL_NETWORK = (
    "agent.params.policy_kwargs.net_arch=[64]",
    "agent.params.policy_kwargs.features_extractor_kwargs.channels=[64]",
    "agent.params.policy_kwargs.features_extractor_kwargs.features_dim=128",
)
_HALF_MIRRORS = f"{_SELF_PLAY}.mirror_fraction=0.5"
_EXPLOITED = "with an exploiter on a quarter of the boards"
_ROLLOUTS_OF_PPO = ("agent.params.n_steps=64", "agent.params.batch_size=1024", "agent.params.ent_coef=0.01")

VARIANTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "all": (_SHIPPED, ()),
    "without lookahead": (_SHIPPED, ("train.lookahead=null", *_ROLLOUTS_OF_PPO)),
    "without start positions": (_SHIPPED, ("train.start_positions=null", "train.opening_plies=6")),
    "without mirror boards": (_SHIPPED, (f"{_SELF_PLAY}.mirror_fraction=0",)),
    "without symmetry": (_SHIPPED, ("train.symmetry=false",)),
    "with a smaller network": (_SHIPPED, _SMALL_NETWORK),
    "with prioritized opponents on half of the boards": (
        _SHIPPED,
        (_HALF_MIRRORS, f"{_SELF_PLAY}.past_self_fraction=1", f"{_SELF_PLAY}.sampling=prioritized"),
    ),
    "none of these": (str(_HERE / "connect4_without_lookahead.yaml"), ()),
}
"""Configuration and changes of each variant, by name."""

Curve: TypeAlias = list[dict[str, Any]]
"""Of each evaluation: step, seconds, and share of right moves by phase and difficulty."""


def make_exploited(exploiter: str) -> tuple[str, Sequence[str]]:
    """:return: the variant with an exploiter among the opponents"""
    opponents = json.dumps({"random": 0.1, "heuristic": 0.4, exploiter: 0.5})
    shares = f"train.opponent_sampler.params.heuristic_distribution={opponents}"
    return _SHIPPED, (_HALF_MIRRORS, f"{_SELF_PLAY}.past_self_fraction=0", shares)


def train(variant: tuple[str, Sequence[str]], minutes: float, seed: int, positions: int, directory: Path) -> Curve:
    """:return: the curve of a variant"""
    config, changes = variant
    settings = [
        f"seed={seed}",
        "train.total_steps=null",
        f"train.duration={60 * minutes:g}s",
        "agent.threads=1",
        f"eval.positions={positions}",
        "eval.every_steps=100000",
        "eval.episodes=50",
        *changes,
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "sb3_ext", "train", config, "--run-dir", str(directory), "--resume", *words]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{directory}: {done.stderr.strip() or done.stdout.strip()}")
    return read_curve(directory)


def read_curve(directory: Path) -> Curve:
    """:return: the evaluations of a run"""
    lines = [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]
    return [
        {
            "step": line["step"],
            "seconds": line["elapsed_seconds"],
            **{name: cell["share"] for name, cell in line["right_moves"]["cells"].items()},
        }
        for line in lines
    ]


def draw(curves: Mapping[str, Curve], path: Path) -> None:
    """Draw the share of right moves over the steps, one panel for each phase and difficulty."""
    panels = ("late easy", "middle easy", "middle medium")
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        for name, curve in curves.items():
            steps = [point["step"] / 1e6 for point in curve]
            axes.plot(steps, [100 * point[panel] for point in curve], label=name, linewidth=2 if name == "all" else 1.2)
        axes.set_title(f"{panel} positions")
        axes.set_xlabel("million steps")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("right moves, %")
    figure.axes[0].set_ylim(65, 100)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--positions", type=int, default=200, help="of each phase and difficulty")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time, a core for each")
    parser.add_argument("--runs", type=Path, default=Path("runs/ingredients"), help="directory of the trainings")
    parser.add_argument("--exploiter", metavar="RUN", help="run or checkpoint of an exploiter")
    parser.add_argument("--json", type=Path, help="file for the curves")
    parser.add_argument("--figure", type=Path, help="file for the picture")
    arguments = parser.parse_args()
    variants = {name: VARIANTS[name] for name in arguments.variants}
    if arguments.exploiter is not None:
        variants[_EXPLOITED] = make_exploited(str(Path(arguments.exploiter).absolute()))

    def measure(name: str) -> Curve:
        directory = arguments.runs / name.replace(" ", "_")
        curve = train(variants[name], arguments.minutes, arguments.seed, arguments.positions, directory)
        shown = "  ".join(f"{cell} {100 * share:.1f} %" for cell, share in curve[-1].items() if " " in cell)
        print(f"{name}, {curve[-1]['step']:,} steps: {shown}", flush=True)
        return curve

    with ThreadPoolExecutor(arguments.jobs) as pool:
        curves = dict(zip(variants, pool.map(measure, variants), strict=True))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(curves, indent=1))
    if arguments.figure is not None:
        draw(curves, arguments.figure)


if __name__ == "__main__":
    main()
