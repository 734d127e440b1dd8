"""Log what value-based algorithms believe, from the forward passes that their updates make anyway."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from sb3_ext.callbacks.light import LightCallback

# From the forward hook up to the algorithm's train() there are three frames of torch's.
_MAX_FRAMES = 8


class QValuesCallback(LightCallback):
    """
    Records ``train/mean_q``, for DQN and QR-DQN also ``train/td_error``, from every so many updates.

    ``train/mean_q`` is, over the minibatch and all critics, the mean of ``max_a Q(s, a)`` for DQN and QR-DQN
    (the measure of progress of Mnih et al., "Playing Atari with Deep Reinforcement Learning", 2013) and the mean of
    ``Q(s, a)`` at the replayed actions for SAC, TD3, DDPG, TQC and CrossQ. ``train/td_error`` is the mean of
    ``|y - Q(s, a)|`` with the update's own target ``y``. Quantiles are averaged first. Other algorithms have
    no Q-values, and nothing is recorded.

    A reading is of the first gradient step of a call of ``train()``: a hook hangs on the network until then, takes
    what is computed there anyway, and no random numbers.

    :param every_updates: gradient steps between two readings, at least
    :raises ValueError: if ``every_updates`` is not positive
    """

    def __init__(self, every_updates: int = 16) -> None:
        super().__init__()
        if every_updates <= 0:
            raise ValueError(f"every_updates must be positive, but got {every_updates}")
        self._every_updates = every_updates
        self._next_update = 0
        self._hook: RemovableHandle | None = None

    def state(self) -> dict[str, Any]:
        """
        Capture what a resumed training has to know.

        :return: plain JSON values for :meth:`restore`
        """
        return {"next_update": self._next_update}

    def restore(self, state: dict[str, Any]) -> None:
        """
        Carry on from where an earlier training was.

        :param state: what :meth:`state` gave then
        """
        self._next_update = state["next_update"]

    def _on_rollout_start(self) -> None:
        self._remove_hook()

    def _on_rollout_end(self) -> None:
        self._remove_hook()
        if self.model._n_updates < self._next_update:
            return
        for name, read in _READERS.items():
            network = getattr(self.model, name, None)
            if isinstance(network, nn.Module):
                self._hook = network.register_forward_hook(self._make_hook(read))

    def _on_training_end(self) -> None:
        self._remove_hook()

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _make_hook(self, read: Reader) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        train_code = getattr(getattr(type(self.model), "train", None), "__code__", None)
        batch_size: int = self.model.batch_size  # type: ignore[attr-defined]
        # Some algorithms count an update before they make it, some after.
        next_update = self.model._n_updates + self._every_updates

        # A function, not a method: whoever copies the network would copy a method's callback, model and all.
        def hook(network: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            is_policy_update = any(argument.requires_grad for argument in arguments[1:])
            if not torch.is_grad_enabled() or not network.training or is_policy_update:
                return
            self._remove_hook()
            self._next_update = next_update
            with torch.no_grad():
                for name, value in read(output, batch_size, _find_locals(train_code)).items():
                    self.logger.record_mean(name, value.item())

        return hook


def _find_locals(code: CodeType | None) -> Mapping[str, Any]:
    """:return: local variables of the nearest running function with this code, none if it is not running"""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame is None or frame.f_code is code:
            break
        frame = frame.f_back
    return frame.f_locals if frame is not None and frame.f_code is code else {}


def _read_q_net(output: torch.Tensor, batch_size: int, variables: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return _read_discrete(output, variables, variables.get("target_q_values"))


def _read_quantile_net(output: torch.Tensor, batch_size: int, variables: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    targets = variables.get("target_quantiles")
    return _read_discrete(output.mean(dim=1), variables, None if targets is None else targets.mean(dim=1, keepdim=True))


def _read_discrete(
    q_values: torch.Tensor, variables: Mapping[str, Any], targets: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    readings = {"train/mean_q": q_values.max(dim=1).values.mean()}
    # Without these names, in another version of SB3, there is no TD error.
    if targets is not None and "replay_data" in variables:
        chosen = q_values.gather(dim=1, index=variables["replay_data"].actions.long())
        readings["train/td_error"] = (targets - chosen).abs().mean()
    return readings


def _read_critic(
    output: torch.Tensor | tuple[torch.Tensor, ...], batch_size: int, variables: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    q_values = output if isinstance(output, torch.Tensor) else torch.cat(output, dim=1)
    # CrossQ evaluates the next states in the same pass, after the replayed ones.
    return {"train/mean_q": q_values[:batch_size].mean()}


Reader = Callable[[Any, int, Mapping[str, Any]], dict[str, torch.Tensor]]

# By the model's attribute for the network that is trained.
_READERS: dict[str, Reader] = {"q_net": _read_q_net, "quantile_net": _read_quantile_net, "critic": _read_critic}
