"""Train one model with several ranks, each of which steps its own environments."""

from __future__ import annotations

from contextlib import ExitStack
from copy import copy
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from sb3_contrib import TRPO, CrossQ
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import LightCallback, has_rollouts_of_steps
from sb3_ext.callbacks.bases.stop_callback import StopCallback, TrainingStopped
from sb3_ext.callbacks.checkpoint import RunCheckpointCallback
from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.callbacks.rank_part import RankPartCallback
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.engines.averaged_training import AveragedTraining
from sb3_ext.engines.engine import Update
from sb3_ext.errors import RankError
from sb3_ext.internals.sb3 import replacing_methods, set_episode_statistics
from sb3_ext.ranges import PositiveInt
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.ranks.shared_parameters import copy_parameters, validate_equal_parameters
from sb3_ext.ranks.shared_statistics import SharedStatistics

_PLAIN = (bool, int, float, str, type(None), np.generic)


class DataParallelCallback(LightCallback):
    """
    Train one model with several ranks. In a script that ``torchrun --nproc-per-node 2 script.py`` starts::

        with RankGroup.join() as group:
            env = make_vec_env("CartPole-v1", 4, seed=4 * group.rank)
            model = PPO("MlpPolicy", env, batch_size=64 // group.size)
            callbacks = [DataParallelCallback(group), SharedStopCallback(group)]
            model.learn(100_000, callback=callbacks)
            if group.is_leader:
                model.save("model")

    Two ranks with n environments each learn the same as one process with 2n. Each rank steps its own environments and
    has its own replay buffer and random numbers. All ranks begin with the parameters of rank 0, and take the same
    steps with gradients that are averaged before they are clipped; advantages are normalised over the minibatches of
    all ranks, ``target_kl`` is compared with their mean divergence, and the statistics of ``VecNormalize`` are merged
    after each rollout. ``num_timesteps`` counts the transitions of all ranks. At the end of each rollout the
    ``EpisodeCallback`` of every rank receive the episodes of all ranks, in the same order.

    Put it first. If a callback ends ``learn`` within a rollout on one rank, it also ends on the others, when their
    rollout ends, by :class:`~sb3_ext.callbacks.TrainingStopped`.

    :param group: the ranks
    :param check_every_updates: calls of ``train`` between two comparisons of the parameters of all ranks; ``None``
        compares none
    :param budget: on rank 0, a budget of time whose share used all ranks follow; see
        :class:`~sb3_ext.callbacks.EstimatedSteps`
    :raises ValueError: if a number is out of its range
    :raises RankError: when training starts, if several ranks cannot train this model
    """

    @validate_arguments
    def __init__(
        self, group: RankGroup, *, check_every_updates: PositiveInt | None = 100, budget: Budget | None = None
    ) -> None:
        super().__init__()
        self.group = group
        #: used share of the budget on rank 0 at the end of the last rollout, the same on all ranks
        self.used_share = 0.0
        self._budget = budget
        #: number of comparisons of parameters so far, all of which found them equal
        self.checks = 0
        self._check_every_updates = check_every_updates
        self._rollouts = 0
        self._is_in_rollout = False
        self._statistics: SharedStatistics | None = None
        self._finished: list[tuple[int, dict[str, Any]]] = []
        self._latest: Any = None
        self._successes: Any = None
        self._receivers: list[EpisodeCallback] = []
        self._stops: list[StopCallback] = []
        self._attached = ExitStack()

    def close(self) -> None:
        """Detach from the model, for example after an exception."""
        self._attached.close()
        for receiver in self._receivers:
            receiver.receives_episodes = False

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self.group.size == 1:
            return
        _validate_model(self.model)
        copy_parameters(self.group, self.model)
        self._attach()
        called = list_callbacks(self.locals.get("callback", self))
        self._receivers = [callback for callback in called if isinstance(callback, EpisodeCallback)]
        self._stops = [callback for callback in called if isinstance(callback, StopCallback)]
        for receiver in self._receivers:
            receiver.receives_episodes = True
        self._is_in_rollout = False
        self._finished = []
        self._copy_latest()
        normalize = self.model.get_vec_normalize_env()
        if normalize is not None and normalize.training:
            self._statistics = SharedStatistics(normalize)
            self._statistics.synchronize(self.group)
            for callback in called:
                if isinstance(callback, RunCheckpointCallback | RankPartCallback):
                    callback.on_restored.append(lambda _reason: self.note_restored())

    def _attach(self) -> None:
        found = vars(self.model).get("train")
        if not isinstance(found, Update):
            train = AveragedTraining(self.model, self.group)
            self._attached.enter_context(replacing_methods(self.model, {"train": train}))
        elif found.group is not self.group:
            raise RankError(f"{type(found).__name__} does not average gradients over these ranks; use the engine torch")

    def note_restored(self) -> None:
        """Continue from restored statistics, which are equal on all ranks."""
        if self._statistics is not None:
            self._statistics.begin()

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        if self.group.size == 1:
            return
        self._rollouts += 1
        if self._check_every_updates is not None and self._rollouts % self._check_every_updates == 0:
            validate_equal_parameters(self.group, self.model)
            self.checks += 1
        self._is_in_rollout = True

    def _on_step(self) -> bool:
        if self.group.size > 1:
            num_envs = self.training_env.num_envs
            self.model.num_timesteps += (self.group.size - 1) * num_envs
            self.num_timesteps = self.model.num_timesteps
            if True in self.locals["dones"].tolist():
                self._note_episodes(self.locals["dones"], self.locals["infos"])
        return True

    def _note_episodes(self, dones: Any, infos: Any) -> None:
        for index in np.flatnonzero(dones).tolist():
            kept = {name: value for name, value in infos[index].items() if _is_plain(value)}
            self._finished.append((self.num_timesteps, kept))

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        if self.group.size == 1:
            return
        self._is_in_rollout = False
        self._exchange(is_aborted=False)

    def _on_training_end(self) -> None:
        super()._on_training_end()
        if self._is_in_rollout and self.group.is_usable:
            self._is_in_rollout = False
            self._exchange(is_aborted=True)
        self.close()

    def _exchange(self, *, is_aborted: bool) -> None:
        """Exchange what the ranks have collected, or that one has left its rollout."""
        additions = np.zeros(0) if self._statistics is None else self._statistics.compute_additions()
        share = 0.0 if self._budget is None else self._budget.used_share
        sums = torch.from_numpy(np.concatenate([[float(is_aborted), float(len(self._finished)), share], additions]))
        self.group.sum(sums)
        if sums[0] > 0:
            reason = self._find_reason() if is_aborted else None
            reasons = [found for found in self.group.gather(reason) if found is not None]
            if not is_aborted:
                raise TrainingStopped(reasons[0])
            return
        self.used_share = sums[2].item()
        if sums[1] > 0:
            self._share_episodes()
        if self._statistics is not None:
            self._statistics.merge(sums[3:].numpy())

    def _find_reason(self) -> str:
        return next((stop.stop_reason for stop in self._stops if stop.stop_reason is not None), "callback")

    def _share_episodes(self) -> None:
        gathered = self.group.gather(self._finished)
        self._finished = []
        # Ranks are in lockstep: the same order as in one process with all environments.
        for step, info in sorted((item for found in gathered for item in found), key=itemgetter(0)):
            if "episode" in info:
                self._latest.append(info["episode"])
            if info.get("is_success") is not None:
                self._successes.append(info["is_success"])
            for receiver in self._receivers:
                receiver.receive_episode(step, info)
        set_episode_statistics(self.model, self._latest, self._successes)
        self._copy_latest()

    def _copy_latest(self) -> None:
        # SB3 adds the episodes of this rank to its own buffers before those of all ranks replace them.
        self._latest, self._successes = copy(self.model.ep_info_buffer), copy(self.model.ep_success_buffer)


def _validate_model(model: Any) -> None:
    """:raises RankError: if several ranks cannot train this model"""
    name = type(model).__name__
    if not isinstance(model, OnPolicyAlgorithm | OffPolicyAlgorithm) or isinstance(model, TRPO | CrossQ):
        raise RankError(f"{name} cannot be trained by several ranks")
    if not has_rollouts_of_steps(model):
        raise RankError(f"train_freq of {name} must be in steps, not in episodes, which differ between ranks")


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return isinstance(value, _PLAIN)
