"""Log the Q-values of value-based algorithms from the forward passes of their updates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.buffers import ReplayBuffer
from torch import nn
from torch.utils.hooks import RemovableHandle

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.internals.sb3 import get_num_updates
from sb3_ext.ranges import PositiveInt


class QValuesCallback(LightCallback):
    """
    Log ``train/mean_q``, and for DQN and QR-DQN ``train/td_error``, at intervals of updates.

    ``train/mean_q`` is, over the minibatch and all critics, the mean of ``max_a Q(s, a)`` for DQN and QR-DQN
    (the measure of progress of Mnih et al., "Playing Atari with Deep Reinforcement Learning", 2013) and the mean of
    ``Q(s, a)`` at the replayed actions for SAC, TD3, DDPG, TQC and CrossQ. ``train/td_error`` is the mean of
    ``|y - Q(s, a)|`` with the target ``y = r + gamma max_a' Q_target(s', a')`` of the update. Quantiles are averaged
    first. For algorithms without Q-values, nothing is logged.

    Values are those of the first gradient step of a call of ``train()``. Hooks read the outputs of the networks and the
    samples of the replay buffer; they run no forward pass and draw no random numbers.

    :param every_updates: minimum number of gradient steps between two logged values
    :raises ValueError: if a number is out of its range
    """

    state_key = "q_values"

    @validate_arguments
    def __init__(self, every_updates: PositiveInt = 16) -> None:
        super().__init__()
        self._every_updates = every_updates
        self._next_update = 0
        self._hooks: list[RemovableHandle | _SampleReader] = []

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "next_update": self._next_update}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._next_update = state["next_update"]

    def _on_rollout_start(self) -> None:
        self._stop_reading()

    def _on_rollout_end(self) -> None:
        self._stop_reading()
        if get_num_updates(self.model) < self._next_update:
            return
        for name, average in _AVERAGES.items():
            network = getattr(self.model, name, None)
            if isinstance(network, nn.Module):
                self._read(network, getattr(self.model, f"{name}_target", None), average)

    def _on_training_end(self) -> None:
        self._stop_reading()

    def _read(self, network: nn.Module, target: nn.Module | None, average: Average | None) -> None:
        """
        Read the next gradient step.

        :param network: the trained network
        :param target: its target network; ``None`` without one
        :param average: converts the output to a column per action; ``None`` for networks that take actions as input
        """
        minibatch = _Minibatch(self.model.batch_size)  # type: ignore[attr-defined]
        # A subclass that overrides ``train`` may use another target.
        is_stock = type(self.model).train.__module__.startswith(("stable_baselines3.", "sb3_contrib."))  # type: ignore[attr-defined]
        if average is not None and target is not None and is_stock:
            self._hooks.append(_SampleReader(self.model.replay_buffer, minibatch))  # type: ignore[attr-defined]
            self._hooks.append(target.register_forward_hook(_make_target_hook(minibatch, average)))
        self._hooks.append(network.register_forward_hook(self._make_hook(minibatch, average)))

    def _stop_reading(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _make_hook(self, minibatch: _Minibatch, average: Average | None) -> Hook:
        gamma: float = getattr(self.model, "gamma", 1.0)
        # Some algorithms count an update before it runs, some after.
        next_update = get_num_updates(self.model) + self._every_updates

        # A function, not a method: a copy of the network would also copy the callback of a method, and its model.
        def hook(network: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            is_policy_update = any(argument.requires_grad for argument in arguments[1:])
            if not torch.is_grad_enabled() or not network.training or is_policy_update:
                return
            self._stop_reading()
            self._next_update = next_update
            with torch.no_grad():
                readings = (
                    _read_critic(output, minibatch)
                    if average is None
                    else _read_discrete(average(output), minibatch, gamma)
                )
                for name, value in readings.items():
                    self.logger.record_mean(name, value.item())

        return hook


@dataclass
class _Minibatch:
    """
    The minibatch of a gradient step.

    :param batch_size: number of transitions
    :param samples: the sample of the replay buffer
    :param next_values: value of each next state by the target network, shape (batch, 1)
    """

    batch_size: int
    samples: Any = None
    next_values: torch.Tensor | None = None


class _SampleReader:
    """
    Stores the next sample of a replay buffer, without changing it or later ones.

    :param buffer: the model's replay buffer
    :param minibatch: the minibatch that gets the sample
    """

    def __init__(self, buffer: ReplayBuffer, minibatch: _Minibatch) -> None:
        self._buffer = buffer
        self._minibatch = minibatch
        self._draw = buffer.sample
        self._before = vars(buffer).get("sample")
        buffer.sample = self._sample  # type: ignore[method-assign]

    def remove(self) -> None:
        """Restore the buffer's own method."""
        if vars(self._buffer).get("sample") == self._sample:
            vars(self._buffer).pop("sample")
            if self._before is not None:
                vars(self._buffer)["sample"] = self._before

    def _sample(self, *arguments: Any, **keywords: Any) -> Any:
        self.remove()
        self._minibatch.samples = self._draw(*arguments, **keywords)
        return self._minibatch.samples


def _make_target_hook(minibatch: _Minibatch, average: Average) -> Hook:
    def hook(network: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        minibatch.next_values = average(output).max(dim=1, keepdim=True).values

    return hook


def _read_discrete(q_values: torch.Tensor, minibatch: _Minibatch, gamma: float) -> dict[str, torch.Tensor]:
    readings = {"train/mean_q": q_values.max(dim=1).values.mean()}
    samples, next_values = minibatch.samples, minibatch.next_values
    if samples is not None and next_values is not None:
        discounts = gamma if samples.discounts is None else samples.discounts
        targets = samples.rewards + (1 - samples.dones) * discounts * next_values
        chosen = q_values.gather(dim=1, index=samples.actions.long())
        readings["train/td_error"] = (targets - chosen).abs().mean()
    return readings


def _read_critic(output: torch.Tensor | tuple[torch.Tensor, ...], minibatch: _Minibatch) -> dict[str, torch.Tensor]:
    q_values = output if isinstance(output, torch.Tensor) else torch.cat(output, dim=1)
    # CrossQ evaluates the next states in the same pass, after the replayed ones.
    return {"train/mean_q": q_values[: minibatch.batch_size].mean()}


def _average_quantiles(quantiles: torch.Tensor) -> torch.Tensor:
    return quantiles.mean(dim=1)


Average = Callable[[torch.Tensor], torch.Tensor]
Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]

# By the model's attribute for the trained network: the function that converts its output to one column per action.
_AVERAGES: dict[str, Average | None] = {
    "q_net": lambda q_values: q_values,
    "quantile_net": _average_quantiles,
    "critic": None,
}
