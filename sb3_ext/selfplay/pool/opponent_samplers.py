"""Draw the opponents of the next episodes. ``pool.py`` has the sampler that grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.stateful import Stateful


@runtime_checkable
class OpponentSampler(Stateful, Protocol):
    """
    The interface that :class:`~sb3_ext.selfplay.SelfPlayVecEnv` uses to draw opponents at the end of episodes.

    Its state includes the states of its opponents.
    """

    def draw(self, count: int) -> Sequence[str]:
        """
        :param count: number of episodes that start
        :return: name of an opponent for each; valid for :meth:`find` until these episodes have ended
        """

    def find(self, name: str) -> Opponent:
        """
        :param name: from :meth:`draw`, possibly of an earlier process
        :return: the opponent
        """

    def record(self, names: Sequence[str], returns: NDArray[np.float32]) -> None:
        """
        :param names: opponents of the episodes that ended
        :param returns: the agent's returns, shape (names,)
        """

    def restart(self, seed: int) -> None:
        """
        :param seed: seed of all further draws and moves
        """


class MixedSampler:
    """
    Draws opponents with fixed probabilities.

    :param opponents: opponents with their relative frequencies
    :param seed: seed of the draws; ``None`` for an unseeded generator
    :raises SelfPlayError: if there are no opponents, two have the same name, or the shares are negative or all zero
    """

    def __init__(self, opponents: Sequence[tuple[Opponent, float]], seed: int | None = None) -> None:
        self._opponents = {opponent.name: opponent for opponent, _ in opponents}
        if len(self._opponents) < len(opponents):
            raise SelfPlayError(f"two opponents have the same name: {', '.join(o.name for o, _ in opponents)}")
        self._names = list(self._opponents)
        self._shares = normalize_shares({opponent.name: share for opponent, share in opponents})
        self._generator = np.random.default_rng(seed)
        self._first_states = {name: opponent.state_dict() for name, opponent in self._opponents.items()}

    def draw(self, count: int) -> Sequence[str]:
        if len(self._names) == 1:
            return self._names * count
        return [self._names[index] for index in self._generator.choice(len(self._names), count, p=self._shares)]

    def find(self, name: str) -> Opponent:
        return self._opponents[name]

    def record(self, names: Sequence[str], returns: NDArray[np.float32]) -> None:
        """Do nothing: the probabilities are fixed."""

    def restart(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        for name, opponent in self._opponents.items():
            opponent.load_state_dict(self._first_states[name])

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        opponents = {name: opponent.state_dict() for name, opponent in self._opponents.items()}
        return {"generator": self._generator.bit_generator.state, "opponents": opponents}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        if state["opponents"].keys() != self._opponents.keys():
            found, expected = ", ".join(self._opponents), ", ".join(state["opponents"])
            raise SelfPlayError(f"the opponents are {found}, but those of the checkpoint were {expected}")
        self._generator.bit_generator.state = state["generator"]
        for name, opponent_state in state["opponents"].items():
            self._opponents[name].load_state_dict(opponent_state)


def normalize_shares(shares: Mapping[str, float]) -> NDArray[np.float64]:
    """
    :param shares: relative frequencies, by name
    :return: the same as probabilities, in the same order
    :raises SelfPlayError: if there are none, one is negative or not finite, or all are zero
    """
    if not shares:
        raise SelfPlayError("no opponents: expected at least one")
    for name, share in shares.items():
        if not (math.isfinite(share) and share >= 0):
            raise SelfPlayError(f"the share of opponent '{name}' is {share}, expected a number >= 0")
    values = np.array(list(shares.values()), dtype=np.float64)
    if values.sum() == 0:
        raise SelfPlayError(f"the shares of the opponents ({', '.join(shares)}) are all 0")
    normalized: NDArray[np.float64] = values / values.sum()
    return normalized
