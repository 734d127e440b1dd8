"""Pure functions of a pool: which kind of opponent is drawn, which snapshot, and which snapshot is evicted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.config.game_schema import Eviction, Sampling


class Chances(NamedTuple):
    """Probability of each kind of opponent at the start of an episode; they sum to 1."""

    heuristic: float
    current_self: float
    past_self: float


@dataclass
class Results:
    """
    Results of the games against one opponent, from the agent's perspective.

    :param wins: number of games won
    :param draws: number of games drawn
    :param losses: number of games lost
    """

    wins: int = 0
    draws: int = 0
    losses: int = 0

    @property
    def games(self) -> int:
        """Number of games."""
        return self.wins + self.draws + self.losses

    def add(self, episode_return: float) -> None:
        """
        :param episode_return: the agent's return: positive for a win, negative for a loss
        """
        self.wins += episode_return > 0
        self.draws += episode_return == 0
        self.losses += episode_return < 0


def compute_chances(
    current_self_fraction: float,
    past_self_fraction: float,
    *,
    has_started: bool,
    has_snapshots: bool,
    has_heuristics: bool,
) -> Chances:
    """
    :param current_self_fraction: configured probability of the current policy
    :param past_self_fraction: configured probability of a snapshot
    :param has_started: ``start_episode`` is reached
    :param has_snapshots: the pool has snapshots
    :param has_heuristics: the pool has heuristics, which take the rest; without them, the current policy does
    :return: the probability of each kind
    """
    if has_heuristics and not has_started:
        return Chances(1.0, 0.0, 0.0)
    past = past_self_fraction if has_snapshots else 0.0
    if not has_heuristics:
        return Chances(0.0, 1.0 - past, past)
    return Chances(max(0.0, 1.0 - current_self_fraction - past), current_self_fraction, past)


def weigh_snapshots(sampling: Sampling, results: Sequence[Results]) -> NDArray[np.float64]:
    """
    :param sampling: ``uniform``; ``latest``: always the newest; ``prioritized``: in proportion to the agent's share of
        points lost to it, with one added win and one added loss each
    :param results: results against each snapshot, the newest last
    :return: probabilities of the snapshots
    """
    if not results:
        return np.zeros(0)
    if sampling == "latest":
        weights = np.zeros(len(results))
        weights[-1] = 1.0
    elif sampling == "uniform":
        weights = np.ones(len(results))
    else:
        weights = np.array([(found.losses + found.draws / 2 + 1) / (found.games + 2) for found in results])
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


def make_draw(names: Sequence[str], chances: NDArray[np.float64], generator: np.random.Generator) -> Callable[[], str]:
    """
    Make a function that draws what ``generator.choice(names, p=chances)`` draws, in a fraction of the time.

    :param names: names to draw from
    :param chances: probability of each name
    :param generator: random generator
    :return: function that draws a name
    """
    sums = np.cumsum(chances)
    ends = (sums / sums[-1:]).tolist()
    return lambda: names[bisect_right(ends, generator.random())]


def choose_evicted(eviction: Eviction, kept: int, seen: int, generator: np.random.Generator) -> int:
    """
    :param eviction: ``oldest``; or ``reservoir``: keep a uniform sample of all snapshots (Vitter's algorithm R)
    :param kept: capacity of the pool, which now has one more snapshot
    :param seen: number of snapshots ever added, including the newest
    :param generator: random generator
    :return: index of the snapshot to evict: 0 the oldest, ``kept`` the newest
    """
    if eviction == "oldest":
        return 0
    return min(int(generator.integers(seen)), kept)
