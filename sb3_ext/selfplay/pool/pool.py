"""A growing pool of opponents: heuristics, the current policy, and snapshots of earlier policies on disk."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.config.game_schema import PoolParams
from sb3_ext.errors import CheckpointError, LearnerMissingError, SelfPlayError
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.opponents.opponent_registry import FindOpponent, make_opponent, make_opponents
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent
from sb3_ext.selfplay.pool.frozen_policies import FrozenPolicies
from sb3_ext.selfplay.pool.matchmaking import Results, choose_evicted, compute_chances, make_draw, weigh_snapshots
from sb3_ext.selfplay.pool.opponent_samplers import normalize_shares
from sb3_ext.selfplay.pool.pool_settings import PoolSettings
from sb3_ext.selfplay.pool.snapshot_store import SnapshotStore, name_snapshot

logger = logging.getLogger(__name__)

CURRENT_SELF, PAST_SELVES = "self", "past"
DEFAULT_HEURISTICS = PoolParams().heuristic_distribution
_WINDOW_EPISODES = 100


class OpponentPool:
    """
    Draws opponents: heuristics at first, then also the current policy and snapshots of earlier ones.

    :class:`~sb3_ext.callbacks.OpponentPoolCallback` adds the snapshots. An evicted snapshot is not drawn any more; its
    files stay as long as a running game or a kept checkpoint needs them.

    :param directory: directory of the snapshots
    :param game: the game
    :param heuristics: names of registered opponents, or opponents, with their relative frequencies
    :param seed: seed of the draws and of the snapshots' moves; required, so that a resumed pool continues exactly
    :param find: makes a heuristic from its name; default: registered opponents
    :param settings: fields of ``PoolSettings``. ``start_episode``: before it only heuristics are drawn.
        ``current_self_fraction``: probability of the current policy; ``past_self_fraction``: of a snapshot; the rest:
        heuristics. ``max_frozen_agents``: capacity. ``save_every``: episodes between two snapshots. ``sampling`` of
        snapshots: ``uniform``, ``latest``, or ``prioritized`` by how often the agent loses to it. ``eviction``:
        ``oldest``, or ``reservoir`` (keep a uniform sample of all snapshots). ``max_in_memory``: snapshots in memory
    :raises SelfPlayError: if an argument is out of its range, or there would be no opponent
    :raises ConfigError: if a heuristic is unknown
    """

    def __init__(
        self,
        directory: str | Path,
        game: Game,
        heuristics: Mapping[str, float] | Sequence[tuple[Opponent, float]] = DEFAULT_HEURISTICS,
        *,
        seed: int,
        find: FindOpponent = make_opponent,
        **settings: Any,
    ) -> None:
        if seed is None:
            raise SelfPlayError("a pool of opponents needs a seed, so that a resumed run continues exactly")
        self.settings = PoolSettings(**settings)
        self.settings.check_opponents(has_heuristics=bool(heuristics))
        #: number of finished episodes
        self.episodes = 0
        #: results against each opponent, by name
        self.results: defaultdict[str, Results] = defaultdict(Results)
        #: names of the snapshots that can be drawn, the oldest first
        self.members: list[str] = []
        #: games that the pools of other ranks lack, as opponent and return; ``None`` to keep none
        self.unshared_games: list[tuple[str, float]] | None = None
        draws, moves, *seeds = np.random.SeedSequence(seed).spawn(2 + len(heuristics))
        self._draws, self._moves = np.random.default_rng(draws), np.random.default_rng(moves)
        pairs = make_opponents(heuristics, seeds, find) if isinstance(heuristics, Mapping) else heuristics
        self._heuristics = {opponent.name: opponent for opponent, _ in pairs}
        self._names = list(self._heuristics)
        self._shares = normalize_shares({opponent.name: share for opponent, share in pairs}) if pairs else np.zeros(0)
        self._store = SnapshotStore(Path(directory), game)
        self._policies = FrozenPolicies(self._store, self.settings.max_in_memory, self._moves)
        self._learner: BaseAlgorithm | None = None
        self._self: PolicyOpponent | None = None
        self._has_missed_learner = False
        self._seen = 0
        self._retired: dict[str, int | None] = {}  # evicted, and the step since which no game needs it
        self._recent: defaultdict[str, deque[float]] = defaultdict(_make_window)
        self._damaged: set[str] = set()

    def attach(self, model: BaseAlgorithm) -> bool:
        """
        Before this, there are only heuristics.

        :param model: the learner: the current self, and of the architecture of the past ones
        :return: whether opponents were drawn from heuristics alone because the learner was missing: then the games in
            play are to begin anew
        :raises SelfPlayError: if its policy cannot be an opponent
        """
        normalize = model.get_vec_normalize_env()
        live = None if normalize is None else normalize.normalize_obs
        self._self = PolicyOpponent(model.policy, CURRENT_SELF, self._moves, normalize=live)
        self._learner = model
        self._policies.forget()
        self._store.clean()
        is_outdated, self._has_missed_learner = self._has_missed_learner, False
        return is_outdated

    def add(self, model: BaseAlgorithm) -> None:
        """
        Add a snapshot of a model, and evict one if the pool is full. Do nothing if this episode's snapshot exists.

        :param model: the model
        :raises CheckpointError: if the snapshot cannot be written; the pool is unchanged
        """
        if name_snapshot(self.episodes) in (*self.members, *self._retired):
            return
        name = self._store.add(model, self.episodes).name
        self.members.append(name)
        self._seen += 1
        if len(self.members) > self.settings.max_frozen_agents:
            place = choose_evicted(self.settings.eviction, self.settings.max_frozen_agents, self._seen, self._draws)
            self._retired[self.members.pop(place)] = None
        logger.info("added opponent %s (step %d) to the pool", name, model.num_timesteps)

    def note_games(self, in_play: Collection[str], step: int) -> None:
        """
        :param in_play: names of the opponents in running games
        :param step: number of environment steps so far
        """
        for name, free_since in self._retired.items():
            if free_since is None and name not in in_play:
                self._retired[name] = step

    def remove_unneeded(self, kept_steps: Collection[int]) -> None:
        """
        Remove the files of evicted snapshots that no checkpoint needs.

        :param kept_steps: steps of the kept checkpoints; if empty, nothing is removed
        """
        for name, free_since in list(self._retired.items()):
            if free_since is not None and kept_steps and min(kept_steps) >= free_since:
                self._store.remove(name)
                del self._retired[name]

    def draw(self, count: int) -> Sequence[str]:
        """See ``OpponentSampler``."""
        is_due = self.episodes >= self.settings.start_episode
        self._has_missed_learner |= is_due and self._learner is None
        chances = compute_chances(
            self.settings.current_self_fraction,
            self.settings.past_self_fraction,
            has_started=is_due and self._learner is not None,
            has_snapshots=bool(self.members),
            has_heuristics=bool(self._names),
        )
        past = weigh_snapshots(self.settings.sampling, [self.results[name] for name in self.members])
        draw_of_kind = (
            make_draw(self._names, self._shares, self._draws),
            lambda: CURRENT_SELF,
            make_draw(self.members, past, self._draws),
        )
        return [draw_of_kind[kind]() for kind in self._draws.choice(3, count, p=chances)]

    def find(self, name: str) -> Opponent:
        """See ``OpponentSampler``."""
        if name in self._heuristics:
            return self._heuristics[name]
        if self._learner is None or self._self is None:
            raise LearnerMissingError(
                "the pool has no model yet: call learn() with OpponentPoolCallback(), or call pool.attach(model)"
            )
        if name == CURRENT_SELF or name in self._damaged:
            return self._self
        try:
            return self._policies.find(name, self._learner)
        except CheckpointError as error:
            logger.warning("%s; the current policy plays in its place", error)
            self._damaged.add(name)
            return self._self

    def record(self, names: Sequence[str], returns: NDArray[np.float32]) -> None:
        """See ``OpponentSampler``."""
        self.episodes += len(names)
        for name, episode_return in zip(names, returns.tolist(), strict=True):
            self.results[name].add(episode_return)
            group = name if name in self._heuristics or name == CURRENT_SELF else PAST_SELVES
            self._recent[group].append((np.sign(episode_return).item() + 1) / 2)
        if self.unshared_games is not None:
            self.unshared_games += zip(names, returns.tolist(), strict=True)

    def restart(self, seed: int) -> None:
        """Do nothing: the pool has its own seed."""

    def compute_recent_scores(self) -> dict[str, float]:
        """
        :return: mean score (win 1, draw 0.5, loss 0) of the last 100 games against each heuristic, ``self``, ``past``
        """
        return {group: fmean(scores) for group, scores in sorted(self._recent.items())}

    def get_record(self) -> dict[str, Any]:
        """:return: members and results as plain JSON, without random state"""
        return {
            "episodes": self.episodes,
            "members": list(self.members),
            "seen": self._seen,
            "retired": dict(self._retired),
            "results": {name: [found.wins, found.draws, found.losses] for name, found in self.results.items()},
            "recent": {group: list(scores) for group, scores in self._recent.items()},
        }

    def load_record(self, record: dict[str, Any]) -> None:
        """
        Restore a record. Skip damaged snapshots with a warning; remove later ones from the directory.

        :param record: from :meth:`get_record`
        :raises SelfPlayError: if a snapshot is of another game
        """
        if record == self.get_record():
            return
        self.episodes = record["episodes"]
        self._seen = record["seen"]
        self._retired = dict(record["retired"])
        self.results.clear()
        self.results.update({name: Results(*found) for name, found in record["results"].items()})
        self._recent.clear()
        self._recent.update({group: _make_window(scores) for group, scores in record["recent"].items()})
        for name in set(self._store.list_names()) - {*record["members"], *self._retired}:
            self._store.remove(name)
        self.members = [name for name in record["members"] if self._is_good(name)]
        self._policies.forget()

    def copy_members(self, record: dict[str, Any]) -> None:
        """
        Take over the snapshots of another pool with the same directory.

        :param record: from its :meth:`get_record`
        """
        self.members = list(record["members"])
        self._seen = record["seen"]
        self._retired = dict(record["retired"])

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            "record": self.get_record(),
            "generators": [generator.bit_generator.state for generator in (self._draws, self._moves)],
            "heuristics": {name: opponent.state_dict() for name, opponent in self._heuristics.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        if state["heuristics"].keys() != self._heuristics.keys():
            found, expected = ", ".join(self._heuristics), ", ".join(state["heuristics"])
            raise SelfPlayError(f"the pool's heuristics are {found}, but those of the checkpoint were {expected}")
        self.load_record(state["record"])
        self._has_missed_learner = False
        for generator, generator_state in zip((self._draws, self._moves), state["generators"], strict=True):
            generator.bit_generator.state = generator_state
        for name, opponent_state in state["heuristics"].items():
            self._heuristics[name].load_state_dict(opponent_state)

    def _is_good(self, name: str) -> bool:
        if name in self._damaged:
            return False
        try:
            self._store.open(name)
        except CheckpointError as error:
            logger.warning("%s; it is removed from the pool", error)
            self._damaged.add(name)
            return False
        return True


def _make_window(scores: Sequence[float] = ()) -> deque[float]:
    return deque(scores, maxlen=_WINDOW_EPISODES)
