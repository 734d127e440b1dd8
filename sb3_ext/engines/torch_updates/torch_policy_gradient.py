"""The updates of PPO, MaskablePPO and A2C in torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO

from sb3_ext.engines.on_policy_rules import A2CRules, OnPolicySettings, PPORules
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.policy_network import PolicyNetwork, choose_part_size
from sb3_ext.engines.torch_updates.rollout_minibatches import Minibatch, MinibatchReader
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.sb3 import update_learning_rate

Tensor = torch.Tensor
Numbers = dict[str, Any]
"""Coefficients of the loss by name: floats, or on a GPU tensors of those that change from update to update."""

_MEASURED = 2  # minibatches
_SCHEDULED = "clip_range", "clip_range_vf"


class TorchPolicyGradientUpdate(TorchUpdate):
    """
    Base class of updates of on-policy algorithms.

    :param model: a PPO, MaskablePPO or A2C model
    :raises NotCovered: if its policy is not supported
    """

    #: whether a minibatch of one row is not normalised; normalising it results in NaN
    keeps_single_advantages: ClassVar[bool] = False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._network = PolicyNetwork(model.policy)
        self._reader = MinibatchReader(model.device)
        self._part_size = choose_part_size(model.policy)
        stops = getattr(model, "target_kl", None) is not None
        self._graph = self._make_graph("target_kl may stop an update after any minibatch" if stops else None)
        self._scheduled = {name: self._steps["policy"].gradient.new_zeros(()) for name in _SCHEDULED}

    def _list_features(self) -> Sequence[FeatureLayer]:
        return self._network.list_features()

    def _update(self) -> None:
        model, step = self.model, self._steps["policy"]
        model.policy.set_training_mode(True)
        update_learning_rate(model, model.policy.optimizer)
        settings = self._make_settings()
        numbers = {name: number.item() for name, number in settings.numbers.items()}
        record = MinibatchRecord(settings, model.rollout_buffer.buffer_size * model.n_envs, model.device)
        self._reader.group = self.group if settings.normalizes else None
        step.begin()
        learn = self._choose_learning(settings, numbers)
        is_going = True
        for epoch in range(settings.epochs):
            for place, batch in enumerate(self._reader.draw_epoch(model.rollout_buffer, settings.batch_size)):
                is_going = learn(batch, record.open_minibatch(epoch, place))
                if not is_going:
                    break
                record.is_applied[epoch, place] = True
            if not is_going:
                break
        step.finish()
        self._finish(settings, record.summarize(numbers))

    def _try(self) -> int:
        buffer, settings = self.model.rollout_buffer, self._make_settings()
        numbers = {name: number.item() for name, number in settings.numbers.items()}
        order = np.arange(buffer.buffer_size * buffer.n_envs)[: _MEASURED * settings.batch_size]
        record = MinibatchRecord(replace(settings, epochs=1), len(order), self.model.device)
        learn = self._choose_learning(replace(settings, stops=False), numbers)
        for place, batch in enumerate(self._reader.read_epoch(buffer, order, settings.batch_size)):
            learn(batch, record.open_minibatch(0, place))
        return int(record.is_seen.sum())

    def _choose_learning(self, settings: OnPolicySettings, numbers: dict[str, float]) -> Callable[..., bool]:
        """:return: :meth:`_learn` of a minibatch and its rows, on a GPU by the graph if it can be recorded"""
        graph = self._graph
        if graph is None or settings.stops:
            return partial(self._learn, settings, numbers)
        # A replay reads these; the others are a part of the graph.
        changing = {name: self._scheduled[name].fill_(numbers[name]) for name in _SCHEDULED if name in numbers}
        constant = {name: number for name, number in numbers.items() if name not in changing}

        def learn(inputs: Any, rows: dict[str, Tensor]) -> None:
            self._learn(settings, {**constant, **changing}, Minibatch(**inputs), rows)

        def replay(batch: Minibatch, rows: dict[str, Tensor]) -> bool:
            graph.learn(vars(batch), rows)
            return True

        policy = self.model.policy
        fixed = (*constant.items(), settings.clips_values, settings.normalizes)
        graph.begin(learn, fixed, [*policy.parameters(), *policy.buffers()])
        return replay

    def _learn(self, settings: OnPolicySettings, numbers: Numbers, batch: Minibatch, rows: dict[str, Tensor]) -> bool:
        """:return: whether the step has been taken, rather than stopped by ``target_kl``"""
        step, size = self._steps["policy"], len(batch.returns)
        is_single = size == 1 and self.group is None
        if settings.normalizes and not (is_single and self.keeps_single_advantages):
            batch = batch.normalize()
        for start in range(0, size, self._part_size):
            part, part_rows = batch, rows
            if size > self._part_size:
                end = start + self._part_size
                part, part_rows = batch.cut(start, end), {name: row[start:end] for name, row in rows.items()}
            slopes = self._compute_slopes(settings, numbers, part, part_rows, size)
            if settings.stops and size <= self._part_size and self.group is None and _has_diverged(rows, numbers):
                return False
            self._network.backward(*slopes)
            if size > self._part_size:
                step.add_part(is_first=not start)
        if size > self._part_size:
            if settings.stops and self.group is None and _has_diverged(rows, numbers):
                return False
            step.join_parts()
        if self.group is not None:
            # All ranks decide by their mean divergence, which arrives with the gradient.
            divergence = step.average(_compute_divergence(rows) if settings.stops else None)
            if settings.stops and divergence > 1.5 * numbers["target_kl"]:
                return False
        step.clip(numbers["max_grad_norm"])
        step.take()
        return True

    @abstractmethod
    def _make_settings(self) -> OnPolicySettings:
        """:return: settings of the next update"""

    @abstractmethod
    def _finish(self, settings: OnPolicySettings, statistics: dict[str, NDArray[Any]]) -> None:
        """Count and log; the statistics have the shape (epochs, minibatches)."""

    @abstractmethod
    def _compute_policy_slopes(
        self, batch: Minibatch, log_prob: Tensor, numbers: Numbers, rows: dict[str, Tensor], size: int
    ) -> Tensor:
        """
        :param rows: receives what is logged, by name
        :param size: rows of the minibatch, of which this may be a part
        :return: gradient of the policy loss with respect to the log-probabilities
        """

    def _compute_slopes(
        self,
        settings: OnPolicySettings,
        numbers: Numbers,
        batch: Minibatch,
        rows: dict[str, Tensor],
        size: int,
    ) -> tuple[Tensor, Tensor, float]:
        values, log_prob, entropies = self._network.forward(batch)
        rows["entropies"].copy_(entropies)
        policy_slopes = self._compute_policy_slopes(batch, log_prob, numbers, rows, size)
        errors = rows["errors"]
        if settings.clips_values:
            change, bound = values - batch.old_values, numbers["clip_range_vf"]
            torch.sub(change.clamp(-bound, bound).add_(batch.old_values), batch.returns, out=errors)
            value_slopes = errors.masked_fill(change.abs_() > bound, 0.0)
        else:
            torch.sub(values, batch.returns, out=errors)
            value_slopes = errors
        return value_slopes.mul(2 * numbers["vf_coef"] / size), policy_slopes, numbers["ent_coef"] / size


class TorchMaskablePPOUpdate(PPORules, TorchPolicyGradientUpdate):
    """Replacement of MaskablePPO's ``train``."""

    algorithms: ClassVar[tuple[type[Any], ...]] = (MaskablePPO,)

    def _compute_policy_slopes(
        self, batch: Minibatch, log_prob: Tensor, numbers: Numbers, rows: dict[str, Tensor], size: int
    ) -> Tensor:
        clip_range = numbers["clip_range"]
        torch.sub(log_prob, batch.old_log_prob, out=rows["log_ratios"])
        ratio = torch.exp(rows["log_ratios"], out=rows["ratios"])
        gains = batch.advantages * ratio
        bounded = ratio.clamp(1 - clip_range, 1 + clip_range).mul_(batch.advantages)
        torch.minimum(gains, bounded, out=rows["gains"])
        return gains.mul_(gains <= bounded).mul_(-1 / size)


class TorchPPOUpdate(TorchMaskablePPOUpdate):
    """Replacement of PPO's ``train``."""

    algorithms = (PPO,)
    keeps_single_advantages = True


class TorchA2CUpdate(A2CRules, TorchPolicyGradientUpdate):
    """Replacement of A2C's ``train``."""

    algorithms = (A2C,)

    def _compute_policy_slopes(
        self, batch: Minibatch, log_prob: Tensor, numbers: Numbers, rows: dict[str, Tensor], size: int
    ) -> Tensor:
        torch.mul(batch.advantages, log_prob, out=rows["gains"])
        return batch.advantages.mul(-1 / size)


def _has_diverged(rows: dict[str, Tensor], numbers: Numbers) -> bool:
    return _compute_divergence(rows) > 1.5 * float(numbers["target_kl"])


def _compute_divergence(rows: dict[str, Tensor]) -> float:
    return (rows["ratios"] - 1 - rows["log_ratios"]).mean().item()


class MinibatchRecord:
    """
    Numbers of each row of each minibatch, from which the logged values are computed once, at the end.

    :param settings: settings of the update
    :param size: rows of an epoch
    :param device: device of the model
    """

    _names = ("entropies", "errors", "gains", "log_ratios", "ratios")

    def __init__(self, settings: OnPolicySettings, size: int, device: torch.device) -> None:
        self._size, self._batch_size = size, settings.batch_size
        self._arrays = {name: torch.zeros(settings.epochs, size, device=device) for name in self._names}
        self._parts = [[row.split(settings.batch_size) for row in array] for array in self._arrays.values()]
        shape = settings.epochs, len(self._parts[0][0])
        self.is_seen, self.is_applied = np.zeros(shape, bool), np.zeros(shape, bool)

    def open_minibatch(self, epoch: int, place: int) -> dict[str, Tensor]:
        """
        :param epoch: index of the epoch
        :param place: index of the minibatch
        :return: arrays for the numbers of its rows, by name, each of shape (batch,)
        """
        self.is_seen[epoch, place] = True
        return {name: parts[epoch][place] for name, parts in zip(self._names, self._parts, strict=True)}

    def summarize(self, numbers: dict[str, float]) -> dict[str, NDArray[Any]]:
        """
        :param numbers: coefficients of the loss
        :return: statistics of each minibatch, shape (epochs, minibatches)
        """
        arrays = self._arrays
        ratios = arrays["ratios"]
        found = {
            "policy_loss": -self._average(arrays["gains"]),
            "value_loss": self._average(arrays["errors"].square()),
            "entropy_loss": self._average(arrays["entropies"]),
            "approx_kl": self._average(ratios - 1 - arrays["log_ratios"]),
            "clip_fraction": self._average(((ratios - 1).abs() > numbers.get("clip_range", 0.0)).float()),
        }
        found["loss"] = (
            found["policy_loss"]
            + numbers["ent_coef"] * found["entropy_loss"]
            + numbers["vf_coef"] * found["value_loss"]
        )
        return {**found, "is_seen": self.is_seen, "is_applied": self.is_applied}

    def _average(self, array: Tensor) -> NDArray[Any]:
        count = self._size // self._batch_size
        whole = array[:, : count * self._batch_size].reshape(len(array), count, self._batch_size).mean(2)
        if count < self.is_seen.shape[1]:
            whole = torch.cat([whole, array[:, count * self._batch_size :].mean(1, keepdim=True)], 1)
        averages: NDArray[Any] = whole.cpu().numpy()
        return averages
