"""Who sits opposite in the next episodes: always the same, a fixed mixture, or (in ``pool.py``) a growing pool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.opponents.opponent import Opponent


@runtime_checkable
class OpponentSampler(Protocol):
    """What :class:`~sb3_ext.selfplay.seats.self_play_env.SelfPlayVecEnv` asks, at the end of an episode only."""

    def draw(self, count: int) -> Sequence[str]:
        """
        :param count: how many episodes begin
        :return: a name for each, which :meth:`find` knows until those episodes have ended
        """

    def find(self, name: str) -> Opponent:
        """
        :param name: from :meth:`draw`, perhaps of an earlier process
        :return: who that is
        """

    def record(self, names: Sequence[str], returns: NDArray[np.float32]) -> None:
        """
        :param names: opponents of episodes that have ended
        :param returns: the agent's; of a game of win and loss +1, 0 and -1, shape (names,)
        """

    def restart(self, seed: int) -> None:
        """
        :param seed: from here on, the same seed draws the same opponents, who play the same
        """

    def get_state(self) -> Any:
        """:return: what an exact resume needs, its opponents' states included; picklable, a copy"""

    def set_state(self, state: Any) -> None:
        """
        :param state: from :meth:`get_state`
        """


class MixedSampler:
    """
    Draws from a fixed mixture.

    :param opponents: each with how often it is to be met, in any unit; the sum is 1 afterwards
    :param seed: of the draws; ``None`` for fresh random numbers
    :raises SelfPlayError: if there is none, two have the same name, or the shares are negative or all zero
    """

    def __init__(self, opponents: Sequence[tuple[Opponent, float]], seed: int | None = None) -> None:
        self._opponents = {opponent.name: opponent for opponent, _ in opponents}
        if len(self._opponents) < len(opponents):
            raise SelfPlayError(f"two opponents have the same name: {', '.join(o.name for o, _ in opponents)}")
        self._names = list(self._opponents)
        self._shares = normalize_shares({opponent.name: share for opponent, share in opponents})
        self._generator = np.random.default_rng(seed)
        self._first_states = {name: opponent.get_state() for name, opponent in self._opponents.items()}

    def draw(self, count: int) -> Sequence[str]:
        if len(self._names) == 1:
            return self._names * count
        return [self._names[index] for index in self._generator.choice(len(self._names), count, p=self._shares)]

    def find(self, name: str) -> Opponent:
        return self._opponents[name]

    def record(self, names: Sequence[str], returns: NDArray[np.float32]) -> None:
        """Nothing here depends on what came of it."""

    def restart(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        for name, opponent in self._opponents.items():
            opponent.set_state(self._first_states[name])

    def get_state(self) -> Any:
        opponents = {name: opponent.get_state() for name, opponent in self._opponents.items()}
        return {"generator": self._generator.bit_generator.state, "opponents": opponents}

    def set_state(self, state: Any) -> None:
        if state["opponents"].keys() != self._opponents.keys():
            found, expected = ", ".join(self._opponents), ", ".join(state["opponents"])
            raise SelfPlayError(f"the opponents are {found}, but those of the checkpoint were {expected}")
        self._generator.bit_generator.state = state["generator"]
        for name, opponent_state in state["opponents"].items():
            self._opponents[name].set_state(opponent_state)


def normalize_shares(shares: Mapping[str, float]) -> NDArray[np.float64]:
    """
    :param shares: by name
    :return: in the same order, adding up to 1
    :raises SelfPlayError: if there is none, one is negative or not finite, or all are zero
    """
    if not shares:
        raise SelfPlayError("no opponents: at least one is needed")
    for name, share in shares.items():
        if not (math.isfinite(share) and share >= 0):
            raise SelfPlayError(f"the share of opponent '{name}' is {share}, expected a number >= 0")
    values = np.array(list(shares.values()), dtype=np.float64)
    if values.sum() == 0:
        raise SelfPlayError(f"the shares of the opponents ({', '.join(shares)}) are all 0")
    normalized: NDArray[np.float64] = values / values.sum()
    return normalized
