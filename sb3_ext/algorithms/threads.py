"""Measure whether torch is faster with one thread, as for many small networks, or with all."""

from __future__ import annotations

import copy
import logging
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy

logger = logging.getLogger(__name__)

# A busy machine interrupts threads that wait for each other, which makes them many times slower than in a quiet moment.
_NECESSARY_WINS = 3
_MAX_LOSSES = 2
_CLEARLY_FASTER = 0.85


def measure_threads(model: BaseAlgorithm, budget_seconds: float = 0.3) -> int:
    """
    Time the model's network with one thread and with all that torch uses now, in turn, and return the faster number.

    Several threads must be clearly faster in three of four rounds. A round compares averages, which include the pauses
    of a busy machine.

    It times the passes of training, in their proportions: forward passes for one environment step, and forward and
    backward passes for one minibatch, of a new network of the same shape. The model, random number generators and the
    number of threads do not change.

    :param model: ready to learn
    :param budget_seconds: how long to measure at most; longer if two passes of each kind take longer
    :return: 1, or the number of threads that torch uses now; always the latter if the model is not on the CPU
    """
    all_threads = torch.get_num_threads()
    if all_threads == 1 or model.device.type != "cpu":
        return all_threads
    passes = NetworkPasses(model)
    deadline = perf_counter() + budget_seconds
    each_seconds = budget_seconds / (_NECESSARY_WINS + _MAX_LOSSES - 1) / 2
    wins = losses = 0
    while wins < _NECESSARY_WINS and losses < _MAX_LOSSES:
        one, all_of_them = (
            passes.measure(threads, each_seconds, summarize=statistics.fmean) for threads in (1, all_threads)
        )
        for threads, cost in ((1, one), (all_threads, all_of_them)):
            milliseconds = (1e3 * cost.step_seconds, 1e3 * cost.minibatch_seconds)
            logger.debug("threads: %d: %.3f ms a step, %.3f ms a minibatch", threads, *milliseconds)
        if all_of_them.seconds_per_step < _CLEARLY_FASTER * one.seconds_per_step:
            wins += 1
        else:
            losses += 1
        if perf_counter() > deadline:
            break
    return all_threads if wins > losses else 1


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """
    Set torch's number of threads, which belongs to the process, inside the block, and restore it at the end.

    :param threads: number of threads inside the block
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class NetworkCost:
    """
    The time that a model's network takes.

    :param step_seconds: of a forward pass for one step of all environments
    :param minibatch_seconds: of forward and backward passes for one minibatch
    :param steps_per_minibatch: calls of ``env.step`` for each minibatch
    """

    step_seconds: float
    minibatch_seconds: float
    steps_per_minibatch: float

    @property
    def update_seconds_per_step(self) -> float:
        """Seconds of updates for each call of ``env.step``."""
        return self.minibatch_seconds / self.steps_per_minibatch

    @property
    def seconds_per_step(self) -> float:
        """Seconds of collecting and updates for each call of ``env.step``."""
        return self.step_seconds + self.update_seconds_per_step


def measure_network(model: BaseAlgorithm, threads: int, budget_seconds: float = 0.15) -> NetworkCost:
    """
    Time the model's network as :func:`measure_threads` does.

    :param model: ready to learn
    :param threads: torch's
    :param budget_seconds: how long to measure
    :return: the times, without that of the optimizer's step
    """
    return NetworkPasses(model).measure(threads, budget_seconds)


class NetworkPasses:
    """
    Passes through a new network of the same shape as a model's, to be timed. Random number generators do not change.

    :param model: ready to learn
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        with self._preserving_generators():
            self._step, self._minibatch = _make_passes(model)

    def measure(
        self, threads: int, budget_seconds: float, *, summarize: Callable[[list[float]], float] = min
    ) -> NetworkCost:
        """
        :param threads: torch's
        :param budget_seconds: how long to measure; longer if two passes of each kind take longer
        :param summarize: function of the seconds of several passes
        :return: the times, without that of the optimizer's step
        """
        with using_threads(threads), self._preserving_generators():
            return NetworkCost(
                summarize(_time_passes(self._step, budget_seconds / 2)),
                summarize(_time_passes(self._minibatch, budget_seconds / 2)),
                count_steps_per_minibatch(self._model),
            )

    def measure_minibatch(self, read_clock: Callable[[], float], budget_seconds: float) -> float:
        """
        :param read_clock: function that returns seconds
        :param budget_seconds: how long to measure; longer if two passes take longer
        :return: seconds by that clock of the fastest forward and backward passes for a minibatch
        """
        with self._preserving_generators():
            return min(_time_passes(self._minibatch, budget_seconds, read_clock))

    def _preserving_generators(self) -> AbstractContextManager[None]:
        device = self._model.device
        return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _make_passes(model: BaseAlgorithm) -> tuple[Callable[[], None], Callable[[], None]]:
    """:return: a forward pass for one step, forward and backward passes for one minibatch"""
    policy = _build_policy(model)
    step_observations = _sample_observations(policy, model.n_envs)
    minibatch_observations = _sample_observations(policy, _get_minibatch_size(model))

    def step() -> None:
        policy.set_training_mode(False)
        with torch.no_grad():
            _forward(policy, step_observations)
        synchronize(model.device)

    def minibatch() -> None:
        policy.set_training_mode(True)
        if model.use_sde:
            policy.reset_noise()  # type: ignore[operator]
        losses = [output.mean() for output in _list_differentiable(_forward(policy, minibatch_observations))]
        if losses:
            policy.zero_grad()
            torch.autograd.backward(torch.stack(losses).sum())
        synchronize(model.device)

    return step, minibatch


def _build_policy(model: BaseAlgorithm) -> BasePolicy:
    """Build a policy as the algorithms do; gSDE's distributions cannot be copied."""
    arguments: list[Any] = [model.observation_space, model.action_space]
    if isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm)):
        arguments.append(model.lr_schedule)
    keywords = dict(model.policy_kwargs)
    if model.use_sde:
        keywords["use_sde"] = True
    return model.policy_class(*arguments, **keywords).to(model.device)


def _sample_observations(policy: BasePolicy, count: int) -> Any:
    # Sampling the space itself would change its random state.
    space = copy.deepcopy(policy.observation_space)
    space.seed(0)
    samples = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        return policy.obs_to_tensor({key: np.stack([sample[key] for sample in samples]) for key in space.spaces})[0]
    return policy.obs_to_tensor(np.stack(samples))[0]


def _forward(policy: Any, observations: Any) -> Any:
    for name in ("q_net", "quantile_net"):
        if hasattr(policy, name):
            return getattr(policy, name)(observations)
    if hasattr(policy, "actor"):
        return policy.critic(observations, policy.actor(observations))
    if hasattr(policy, "lstm_actor"):
        return _forward_recurrent(policy, observations)
    return policy(observations)


def _forward_recurrent(policy: Any, observations: Any) -> Any:
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    first = next(iter(observations.values())) if isinstance(observations, dict) else observations
    lstm = policy.lstm_actor
    zeros = torch.zeros(lstm.num_layers, len(first), lstm.hidden_size, device=first.device)
    return policy(observations, RNNStates((zeros, zeros), (zeros, zeros)), torch.zeros(len(first), device=first.device))


def synchronize(device: torch.device) -> None:
    """
    Wait until a GPU has computed what it has been given, as is necessary before a clock is read.

    :param device: a device; nothing is done for a CPU
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _list_differentiable(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs] if outputs.requires_grad else []
    return [tensor for output in outputs for tensor in _list_differentiable(output)]


def _get_minibatch_size(model: Any) -> int:
    # A2C updates with its whole rollout; ARS uses no gradients.
    size: int = getattr(model, "batch_size", getattr(model, "n_steps", 1) * model.n_envs)
    return size


def count_steps_per_minibatch(model: Any) -> float:
    """
    :param model: ready to learn
    :return: calls of ``env.step`` for each minibatch
    """
    if isinstance(model, OnPolicyAlgorithm):
        return _get_minibatch_size(model) / (model.n_envs * getattr(model, "n_epochs", 1))
    if isinstance(model, OffPolicyAlgorithm) and model.gradient_steps > 0:
        frequency: int = model.train_freq.frequency  # type: ignore[union-attr]
        return frequency / model.gradient_steps
    return 1.0


def _time_passes(
    run: Callable[[], None], budget_seconds: float, read_clock: Callable[[], float] | None = None
) -> list[float]:
    """:return: seconds of each run, at least one, after one that includes what is done only once"""
    read_clock = read_clock or perf_counter
    deadline = perf_counter() + budget_seconds
    run()
    times: list[float] = []
    while not times or perf_counter() < deadline:
        before = read_clock()
        run()
        times.append(read_clock() - before)
    return times
