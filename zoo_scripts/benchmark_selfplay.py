"""
Measure moves per second against a frozen network, compared with the usual way to add such an opponent.

The usual way is an opponent inside each environment, which calls ``predict`` for one move at a time, in a
``DummyVecEnv``. The rules there are plain Python, which is fastest for a single board. The agent plays random legal
moves, so that only the environments are measured; both ways take turns, and the medians are compared.

    python zoo_scripts/benchmark_selfplay.py --boards 64 --repeats 5
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.selfplay import SelfPlayVecEnv, freeze_model, make_game, make_opponent
from sb3_ext.selfplay.games.legality import draw_legal

ROWS, COLS, IN_A_ROW = 6, 7, 4
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))

parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
parser.add_argument("--boards", type=int, default=64, help="games side by side")
parser.add_argument("--hidden", type=int, default=64, help="units of each of the two layers of the network")
parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
parser.add_argument("--repeats", type=int, default=5, help="measurements of each kind")


class UsualEnv(gymnasium.Env[Any, Any]):
    """
    Connect4 with an opponent inside.

    :param opponent: a model with masks
    :param seed: of who moves first
    """

    observation_space = spaces.Box(0, 1, (2, ROWS, COLS), np.int8)
    action_space = spaces.Discrete(COLS)

    def __init__(self, opponent: MaskablePPO, seed: int) -> None:
        self._opponent = opponent
        self._dice = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._stones = np.zeros((2, ROWS, COLS), dtype=np.int8)
        self._heights = [0] * COLS
        if self._dice.random() < 0.5:
            self._answer()
        return self._stones.copy(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._play(0, int(action)):
            return self._stones.copy(), 1.0, True, False, {}
        if self._is_full():
            return self._stones.copy(), 0.0, True, False, {}
        lost = self._answer()
        return self._stones.copy(), -1.0 if lost else 0.0, lost or self._is_full(), False, {}

    def action_masks(self) -> list[bool]:
        """:return: which columns are not full"""
        return [height < ROWS for height in self._heights]

    def _answer(self) -> bool:
        action, _ = self._opponent.predict(self._stones[::-1], action_masks=np.array(self.action_masks()))
        return self._play(1, int(action))

    def _play(self, player: int, column: int) -> bool:
        row = ROWS - 1 - self._heights[column]
        self._heights[column] += 1
        stones = self._stones[player]
        stones[row, column] = 1
        return any(self._count(stones, row, column, direction) >= IN_A_ROW for direction in DIRECTIONS)

    def _count(self, stones: Any, row: int, column: int, direction: tuple[int, int]) -> int:
        length = 1
        for sign in (1, -1):
            y, x = row + sign * direction[0], column + sign * direction[1]
            while 0 <= y < ROWS and 0 <= x < COLS and stones[y, x]:
                length += 1
                y, x = y + sign * direction[0], x + sign * direction[1]
        return length

    def _is_full(self) -> bool:
        return min(self._heights) == ROWS


def make_usual(model: MaskablePPO, boards: int) -> VecEnv:
    """:return: an opponent inside each environment"""
    makers: list[Callable[[], Any]] = [lambda seed=seed: UsualEnv(model, seed) for seed in range(boards)]  # type: ignore[misc]
    return DummyVecEnv(makers)


def make_ours(model: MaskablePPO, boards: int) -> VecEnv:
    """:return: one opponent opposite all boards"""
    return SelfPlayVecEnv(make_game("connect4", boards), freeze_model(model, seed=0), seed=0)


def measure(env: VecEnv, seconds: float) -> float:
    """:return: agent's moves in a second"""
    dice = np.random.default_rng(0)
    env.reset()
    moves, began_at = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began_at) < seconds:
        env.step(draw_legal(get_action_masks(env), dice))
        moves += env.num_envs
    return moves / elapsed


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """:return: what was measured, as plain data"""
    torch.set_num_threads(1)
    seat = SelfPlayVecEnv(make_game("connect4", 1), make_opponent("random"))
    layers = [arguments.hidden, arguments.hidden]
    model = MaskablePPO("MlpPolicy", seat, policy_kwargs={"net_arch": layers}, device="cpu", seed=0)
    usual, ours = make_usual(model, arguments.boards), make_ours(model, arguments.boards)
    moves: dict[str, list[float]] = {"usual": [], "ours": []}
    for _ in range(arguments.repeats):
        moves["usual"].append(measure(usual, arguments.seconds))
        moves["ours"].append(measure(ours, arguments.seconds))
    usual_median, our_median = median(moves["usual"]), median(moves["ours"])
    return {
        "boards": arguments.boards,
        "network": layers,
        "usual_moves_per_second": round(usual_median),
        "sb3_ext_moves_per_second": round(our_median),
        "speed_up": round(our_median / usual_median, 1),
    }


if __name__ == "__main__":
    print(json.dumps(compare(parser.parse_args()), indent=2))
