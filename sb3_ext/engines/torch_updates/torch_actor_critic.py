"""The updates of SAC, TQC, TD3 and DDPG in torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sb3_contrib import TQC
from stable_baselines3 import SAC, TD3

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.torch_updates.actor_critic_networks import (
    CriticNetwork,
    GaussianActor,
    PlainActor,
    TargetWeights,
)
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.quantile_slopes import compare_quantiles
from sb3_ext.engines.torch_updates.replay_minibatches import draw_minibatches, make_placeholders
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate

Tensor = torch.Tensor
Logged = dict[str, list[Tensor]]


class TorchActorCriticUpdate(TorchUpdate):
    """
    Base class of updates of off-policy actor-critic algorithms.

    :param model: a SAC, TQC, TD3 or DDPG model
    :raises NotCovered: if its networks are not supported
    """

    #: names of the networks that have target networks
    followed: ClassVar[tuple[str, ...]]

    def __init__(self, model: Any) -> None:
        if model.use_sde:
            raise NotCovered("exploration is state-dependent (use_sde)")
        super().__init__(model)
        self._targets = [
            TargetWeights(getattr(model, name), getattr(model, f"{name}_target"), self._steps[name].weights)
            for name in self.followed
        ]
        self._critic = CriticNetwork(model.critic)
        self._critic_target = CriticNetwork(model.critic_target, is_trained=False)

    def _update(self, gradient_steps: int, batch_size: int = 64) -> None:
        model = self.model
        model.policy.set_training_mode(True)
        update_learning_rate(model, list(self._find_optimizers().values()))
        self._begin()
        logged: Logged = {}
        place = 0
        for samples in draw_minibatches(model, gradient_steps, batch_size):
            for sample in samples:
                self._learn(sample, place, logged)
                place += 1
        for step in self._steps.values():
            step.finish()
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        for name, values in logged.items():
            model.logger.record(f"train/{name}", np.mean(torch.stack(values).cpu().numpy()))

    def _begin(self) -> None:
        for step in self._steps.values():
            step.begin()
        for target in self._targets:
            target.begin()

    def _try(self) -> int:
        weights = [target.values.clone() for target in self._targets]
        samples = make_placeholders(self.model)
        for place, sample in enumerate(samples):
            self._learn(sample, place, {})
        for target, before in zip(self._targets, weights, strict=True):
            target.values.copy_(before)
        return len(samples)

    def _compute_targets(self, sample: Any, values: Tensor) -> Tensor:
        discounts = self.model.gamma if sample.discounts is None else sample.discounts
        return torch.addcmul(sample.rewards, (1 - sample.dones).mul_(discounts), values)

    def _take(self, name: str) -> None:
        """Take a step of an optimizer, with the gradient of all ranks."""
        self._steps[name].average()
        self._steps[name].take()

    def _list_features(self) -> Sequence[FeatureLayer]:
        return self._critic.features, self._critic_target.features

    @abstractmethod
    def _learn(self, sample: Any, place: int, logged: Logged) -> None:
        """
        Take a gradient step.

        :param sample: a minibatch
        :param place: index of the gradient step within this update
        :param logged: receives what ``train`` logs
        """


class TorchSACUpdate(TorchActorCriticUpdate):
    """Replacement of SAC's ``train``."""

    algorithms: ClassVar[tuple[type[Any], ...]] = (SAC,)
    followed = ("critic",)

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._actor = GaussianActor(model.actor)

    def _list_features(self) -> Sequence[FeatureLayer]:
        return *super()._list_features(), self._actor.features

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        model = self.model
        found = {"actor": model.actor.optimizer, "critic": model.critic.optimizer}
        return found if model.ent_coef_optimizer is None else {**found, "entropy": model.ent_coef_optimizer}

    def _learn(self, sample: Any, place: int, logged: Logged) -> None:
        model, observations, next_observations = self.model, sample.observations, sample.next_observations
        shape = len(sample.rewards), sample.actions.shape[1]
        noise, next_noise = (torch.empty(shape, device=model.device).normal_() for _draw in range(2))
        # The later forward pass is the one whose gradient is needed.
        next_actions, next_log_prob = self._actor.forward(next_observations, next_noise)
        actions, log_prob = self._actor.forward(observations, noise)
        ent_coef = self._learn_entropy(log_prob, logged)
        outputs = self._critic_target.forward(next_observations, next_actions)
        values = self._estimate_next(outputs).sub_(next_log_prob[:, None].mul_(ent_coef))
        targets = self._compute_targets(sample, values)
        loss, slopes = self._compare(self._critic.forward(observations, sample.actions), targets)
        self._critic.backward(slopes)
        self._take("critic")
        # The gradient with respect to the actions, of the critic after its step
        estimate, slopes = self._estimate(self._critic.forward(observations, actions))
        to_actions = self._critic.backward_to_actions(slopes)
        self._actor.backward(to_actions, ent_coef)
        self._take("actor")
        if place % model.target_update_interval == 0:
            for target in self._targets:
                target.follow(model.tau)
        logged.setdefault("ent_coef", []).append(ent_coef)
        logged.setdefault("actor_loss", []).append(log_prob.mean().mul_(ent_coef).sub_(estimate))
        logged.setdefault("critic_loss", []).append(loss)

    def _learn_entropy(self, log_prob: Tensor, logged: Logged) -> Tensor:
        """:return: the entropy coefficient before its step"""
        model = self.model
        if "entropy" not in self._steps:
            coefficient: Tensor = model.ent_coef_tensor.view(())
            return coefficient
        weight = model.log_ent_coef
        ent_coef: Tensor = weight.detach().exp().view(())
        slope = log_prob.mean().add_(model.target_entropy).neg_()
        logged.setdefault("ent_coef_loss", []).append(weight.detach()[0] * slope)
        weight.grad.fill_(slope)
        self._take("entropy")
        return ent_coef

    def _estimate_next(self, outputs: Tensor) -> Tensor:
        """:return: values of the next states, from the outputs of the target critics, shape (batch, numbers)"""
        return outputs.amin(0)

    def _compare(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """:return: loss of the critics, and its gradient with respect to their outputs, (networks, batch, numbers)"""
        errors = outputs - targets
        return errors.square().mean(1).sum().mul_(0.5), errors.div_(errors.shape[1])

    def _estimate(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """:return: mean Q-value, and the gradient of minus it with respect to the outputs"""
        values, places = outputs.min(0, keepdim=True)
        slopes = torch.zeros_like(outputs).scatter_(0, places, -1 / outputs.shape[1])
        return values.mean(), slopes


class TorchTQCUpdate(TorchSACUpdate):
    """Replacement of TQC's ``train``."""

    algorithms = (TQC,)

    def _estimate_next(self, outputs: Tensor) -> Tensor:
        critic = self.model.critic
        kept = critic.quantiles_total - self.model.top_quantiles_to_drop_per_net * critic.n_critics
        return outputs.transpose(0, 1).flatten(1).sort(1).values[:, :kept]

    def _compare(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss, slopes = compare_quantiles(outputs, targets)
        count = outputs.numel() * targets.shape[1]
        return loss.sum().div_(count), slopes.div_(count)

    def _estimate(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        return outputs.mean(), torch.full_like(outputs, -1 / outputs.numel())


class TorchTD3Update(TorchActorCriticUpdate):
    """Replacement of the ``train`` of TD3 and DDPG."""

    algorithms = (TD3,)
    followed = ("critic", "actor")

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._actor = PlainActor(model.actor)
        self._actor_target = PlainActor(model.actor_target, is_trained=False)

    def _list_features(self) -> Sequence[FeatureLayer]:
        return *super()._list_features(), self._actor.features, self._actor_target.features

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"actor": self.model.actor.optimizer, "critic": self.model.critic.optimizer}

    def _learn(self, sample: Any, place: int, logged: Logged) -> None:
        model, observations = self.model, sample.observations
        bound = model.target_noise_clip
        noise = torch.empty_like(sample.actions).normal_(0, model.target_policy_noise).clamp_(-bound, bound)
        next_actions = noise.add_(self._actor_target.forward(sample.next_observations)).clamp_(-1, 1)
        outputs = self._critic_target.forward(sample.next_observations, next_actions)
        targets = self._compute_targets(sample, outputs.amin(0))
        errors = self._critic.forward(observations, sample.actions) - targets
        logged.setdefault("critic_loss", []).append(errors.square().mean(1).sum())
        self._critic.backward(errors.mul_(2 / errors.shape[1]))
        self._take("critic")
        if (get_num_updates(model) + place + 1) % model.policy_delay:
            return
        values = self._critic.forward(observations, self._actor.forward(observations), only_first=True)
        logged.setdefault("actor_loss", []).append(values.mean().neg_())
        self._actor.backward(self._critic.backward_to_actions(torch.full_like(values, -1 / values.numel())))
        self._take("actor")
        for target in self._targets:
            target.follow(model.tau)
