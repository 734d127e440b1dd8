"""
Compare mirror boards with boards that have an opponent, at equal wall time: moves a second with learning included, and
how strong the greedy policy is afterwards.

Everything else is as in the configuration. The machine should have nothing else to do; with ``--repeats`` each share
is trained with several seeds, in turn::

    python zoo_scripts/benchmark_selfplay_learning.py --minutes 5 --shares 1 0.9375 0.5 0
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import sb3_ext
from sb3_ext.selfplay import load_opponent, make_game
from sb3_ext.selfplay.matches.match_play import play_match
from sb3_ext.selfplay.opponents.heuristics import AlphaBetaOpponent, HeuristicOpponent, RandomOpponent
from sb3_ext.selfplay.opponents.opponent import Opponent

_SELF_PLAY = "train.opponent_sampler.params.self_play"


def train_share(config: str, share: float, seed: int, minutes: float, directory: Path, settings: list[str]) -> float:
    """:return: moves a second, of both players on all boards"""
    run = sb3_ext.train(
        config,
        run_dir=directory,
        overrides=[
            f"seed={seed}",
            f"{_SELF_PLAY}.mirror_fraction={share}",
            f"train.duration={minutes}m",
            "eval.every_steps=null",
            *settings,
        ],
    )
    summary = run.metrics["summary"]
    return float(summary["fps"]) * (share + 2 * (1 - share))


def measure_strength(directory: Path, openings: int, seed: int) -> dict[str, float]:
    """:return: the score of the greedy policy against each player, in both seats of every opening"""
    opponents: list[Opponent] = [RandomOpponent(seed), HeuristicOpponent(seed)]
    opponents += [AlphaBetaOpponent(depth, seed) for depth in (2, 4)]
    scores = {}
    for opponent in opponents:
        game = make_game("connect4", openings)
        bundle = sorted((directory / "checkpoints").glob("step_*"))[-1]
        agent = load_opponent(bundle, game, deterministic=True)
        generator = np.random.default_rng(seed)
        scores[opponent.name] = play_match(game, agent, opponent, generator=generator).total.score
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="connect4_maskable_ppo", help="a configuration of Connect4 with a pool")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.9375, 0.5, 0.0], help="of mirror boards")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training")
    parser.add_argument("--repeats", type=int, default=1, help="seeds")
    parser.add_argument("--openings", type=int, default=500, help="two games from each, against every opponent")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE, as for sb3-ext train")
    arguments = parser.parse_args()
    for seed in range(arguments.repeats):
        for share in arguments.shares:
            with tempfile.TemporaryDirectory() as folder:
                directory = Path(folder) / "run"
                speed = train_share(arguments.config, share, seed, arguments.minutes, directory, arguments.set)
                scores = measure_strength(directory, arguments.openings, seed)
            shown = "  ".join(f"{name} {100 * score:.1f} %" for name, score in scores.items())
            print(f"seed {seed}  mirror boards {100 * share:.0f} %  {speed:,.0f} moves/s  {shown}", flush=True)


if __name__ == "__main__":
    main()
