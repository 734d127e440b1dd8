"""Who meets whom, and who makes room: pure functions of what is known, and of a generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.config.game_schema import Eviction, Sampling


class Chances(NamedTuple):
    """Of the kinds of opponents, at the start of an episode; they add up to 1."""

    heuristic: float
    current_self: float
    past_self: float


@dataclass
class Results:
    """
    What came of the games against one opponent, from the agent's side.

    :param wins: games
    :param draws: games
    :param losses: games
    """

    wins: int = 0
    draws: int = 0
    losses: int = 0

    @property
    def games(self) -> int:
        """All together."""
        return self.wins + self.draws + self.losses

    def add(self, episode_return: float) -> None:
        """
        :param episode_return: the agent's: positive for a win, negative for a loss
        """
        self.wins += episode_return > 0
        self.draws += episode_return == 0
        self.losses += episode_return < 0


def find_chances(
    current_self_fraction: float,
    past_self_fraction: float,
    *,
    has_started: bool,
    has_snapshots: bool,
    has_heuristics: bool,
) -> Chances:
    """
    :param current_self_fraction: as configured
    :param past_self_fraction: as configured
    :param has_started: it is time for oneself
    :param has_snapshots: there are past selves
    :param has_heuristics: there are heuristics, which take what is left; else it is the current self that does
    :return: the chances
    """
    if has_heuristics and not has_started:
        return Chances(1.0, 0.0, 0.0)
    past = past_self_fraction if has_snapshots else 0.0
    if not has_heuristics:
        return Chances(0.0, 1.0 - past, past)
    return Chances(max(0.0, 1.0 - current_self_fraction - past), current_self_fraction, past)


def weigh_snapshots(sampling: Sampling, results: Sequence[Results]) -> NDArray[np.float64]:
    """
    :param sampling: ``uniform``; ``latest``: always the newest; ``prioritized``: in proportion to the share of points
        that the agent loses to it, one won and one lost game added to each
    :param results: of each snapshot, the newest last; at least one
    :return: how likely each is, adding up to 1
    """
    if sampling == "latest":
        weights = np.zeros(len(results))
        weights[-1] = 1.0
    elif sampling == "uniform":
        weights = np.ones(len(results))
    else:
        weights = np.array([(found.losses + found.draws / 2 + 1) / (found.games + 2) for found in results])
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


def choose_evicted(eviction: Eviction, kept: int, seen: int, generator: np.random.Generator) -> int:
    """
    :param eviction: ``oldest``; or ``reservoir``, which leaves a uniform sample of all that there ever were (Vitter's
        algorithm R)
    :param kept: how many may stay; one more, the newest, is there
    :param seen: how many there ever were, the newest included
    :param generator: of the draw
    :return: which has to go, 0 the oldest, ``kept`` the newest
    """
    if eviction == "oldest":
        return 0
    return min(int(generator.integers(seen)), kept)
