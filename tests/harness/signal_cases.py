"""Which signals are sent to which trainings, and when."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

_NUM_ENVS = 2


@dataclass(frozen=True)
class Training:
    """
    A training in which everything lasts long enough to be hit.

    :param name: what it is called
    :param algorithm: ``ppo`` or ``dqn``
    :param rollout_steps: of each environment
    :param rollout_seconds: how long these take
    :param update_passes: of the network, in an update
    :param update_seconds: how long these take
    :param rollouts: of the whole training
    """

    name: str
    algorithm: str
    rollout_steps: int
    rollout_seconds: float
    update_passes: int
    update_seconds: float
    rollouts: int

    def make_config(self, marks: Path, *, has_subprocesses: bool, interval: int) -> dict[str, Any]:
        """
        :param marks: where to note the phases
        :param has_subprocesses: each environment has a process of its own
        :param interval: steps between two checkpoints
        :return: a configuration
        """
        turns = 1 if has_subprocesses else _NUM_ENVS
        step_seconds = self.rollout_seconds / self.rollout_steps / turns
        extractor = {"seconds": self.update_seconds / self.update_passes}
        if self.algorithm == "ppo":
            rollout = {"n_steps": self.rollout_steps, "batch_size": self.rollout_steps * _NUM_ENVS}
            params = {**rollout, "n_epochs": self.update_passes}
        else:
            params = {"train_freq": self.rollout_steps, "learning_starts": 0, "batch_size": 8, "buffer_size": 40}
            params["gradient_steps"] = self.update_passes
        params["policy_kwargs"] = {
            "net_arch": [8],
            "features_extractor_class": "slow_parts:SlowExtractor",
            "features_extractor_kwargs": extractor,
        }
        callbacks = [
            {"type": "slow_parts:MarkCallback", "params": {"path": str(marks)}},
            {"type": "checkpoint", "params": {"interval": interval}},
        ]
        steps = self.rollouts * self.rollout_steps * _NUM_ENVS
        return {
            "seed": 1,
            "env": {"id": "CartPole-v1", "wrappers": [{"slow_parts.SlowSteps": {"seconds": step_seconds}}]},
            "parallel": {"num_envs": _NUM_ENVS, "mode": "subproc" if has_subprocesses else "sequential"},
            "agent": {"id": self.algorithm, "threads": 1, "device": "cpu", "params": params},
            "train": {"total_steps": steps, "callbacks": callbacks, "log_every_episodes": 1},
            "eval": {"episodes": 1},
        }


TRAININGS = (
    Training("short", "ppo", 16, 0.5, 8, 0.3, rollouts=5),
    Training("long", "ppo", 32, 1.3, 16, 1.3, rollouts=3),
    Training("off-policy", "dqn", 4, 0.4, 4, 0.4, rollouts=8),
)


@dataclass(frozen=True)
class Case:
    """
    What to send, to whom, and when.

    :param training: which training
    :param has_subprocesses: each environment has a process of its own
    :param phase: ``collecting``, ``updating`` or ``saving``
    :param number: the signal
    :param is_double: send it twice
    :param to_group: to the whole process group
    """

    training: Training
    has_subprocesses: bool
    phase: str
    number: signal.Signals
    is_double: bool
    to_group: bool

    def __str__(self) -> str:
        words = (
            self.training.name,
            "subproc" if self.has_subprocesses else "dummy",
            self.phase,
            f"{self.number.name} {'twice' if self.is_double else 'once'}",
            "group" if self.to_group else "process",
        )
        return f"{words[0]:<10}  {words[1]:<7}  {words[2]:<10}  {words[3]:<13}  {words[4]:<7}"


def list_cases() -> list[Case]:
    """:return: the whole matrix"""
    numbers = (signal.SIGINT, signal.SIGTERM)
    booleans = (False, True)
    phases = ("collecting", "updating", "saving")
    return [
        Case(training, has_subprocesses, phase, number, is_double, to_group)
        for training, has_subprocesses, phase, number, is_double, to_group in product(
            TRAININGS, booleans, phases, numbers, booleans, booleans
        )
    ]


def list_quick_cases() -> list[Case]:
    """:return: every value of every dimension, once or more"""
    short, long, off_policy = TRAININGS
    return [
        Case(long, True, "collecting", signal.SIGTERM, is_double=False, to_group=True),
        Case(off_policy, True, "updating", signal.SIGINT, is_double=True, to_group=False),
        Case(short, False, "saving", signal.SIGINT, is_double=False, to_group=True),
    ]
