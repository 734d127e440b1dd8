"""The updates of SAC, TQC, TD3 and DDPG in torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
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
from sb3_ext.engines.torch_updates.minibatch_graph import MinibatchGraph, Tensors
from sb3_ext.engines.torch_updates.quantile_slopes import compare_quantiles
from sb3_ext.engines.torch_updates.replay_minibatches import draw_minibatches, make_placeholders
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate
from sb3_ext.ranks.rank_group import RankGroup

Tensor = torch.Tensor
Logged = dict[str, list[Tensor]]
TakeStep = Callable[[Any, Tensors], dict[str, Tensor]]
"""Learns from a minibatch and its noise; returns what is logged."""


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
        self._graph = self._make_graph()

    def _update(self, gradient_steps: int, batch_size: int = 64) -> None:
        model = self.model
        model.policy.set_training_mode(True)
        update_learning_rate(model, list(self._find_optimizers().values()))
        for step in self._steps.values():
            step.begin()
        for target in self._targets:
            target.begin()
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

    def _try(self) -> int:
        weights = [target.values.clone() for target in self._targets]
        samples = make_placeholders(self.model)
        for place, sample in enumerate(samples):
            self._learn(sample, place, {})
        for target, before in zip(self._targets, weights, strict=True):
            target.values.copy_(before)
        return len(samples)

    def _run(
        self, graph: MinibatchGraph | None, take_step: TakeStep, sample: Any, noise: Tensors, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """
        Learn from a minibatch, on a GPU by the graph if it can be recorded.

        :param graph: of this step; ``None`` without one
        :param take_step: takes the step, without random numbers of its own
        :param sample: the minibatch
        :param noise: random numbers by name
        :param names: names of what it returns
        :return: what is logged
        """
        if graph is None:
            return take_step(sample, noise)
        model, kind = self.model, type(sample)

        def learn(inputs: Tensors, outputs: dict[str, Tensor]) -> None:
            for name, value in take_step(kind(**inputs["sample"]), inputs["noise"]).items():
                outputs[name].copy_(value)

        constants = kind, model.gamma, getattr(model, "target_entropy", None)
        graph.begin(learn, constants, [*model.policy.parameters(), *model.policy.buffers()])
        found = {name: torch.zeros((), device=model.device) for name in names}
        graph.learn({"sample": sample._asdict(), "noise": noise}, found)
        return found

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
        model, shape = self.model, (len(sample.rewards), sample.actions.shape[1])
        noise = {name: torch.empty(shape, device=model.device).normal_() for name in ("actions", "next_actions")}
        names = ["ent_coef", "actor_loss", "critic_loss", *(["ent_coef_loss"] if "entropy" in self._steps else [])]
        _add_to(logged, self._run(self._graph, self._take_steps, sample, noise, names))
        if place % model.target_update_interval == 0:
            for target in self._targets:
                target.follow(model.tau)

    def _take_steps(self, sample: Any, noise: Tensors) -> dict[str, Tensor]:
        """:return: what is logged"""
        observations, next_observations = sample.observations, sample.next_observations
        # The later forward pass is the one whose gradient is needed.
        next_actions, next_log_prob = self._actor.forward(next_observations, noise["next_actions"])
        actions, log_prob = self._actor.forward(observations, noise["actions"])
        ent_coef, found = self._learn_entropy(log_prob)
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
        actor_loss = log_prob.mean().mul_(ent_coef).sub_(estimate)
        return {**found, "ent_coef": ent_coef, "actor_loss": actor_loss, "critic_loss": loss}

    def _learn_entropy(self, log_prob: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """:return: the entropy coefficient before its step, and what is logged"""
        model = self.model
        if "entropy" not in self._steps:
            coefficient: Tensor = model.ent_coef_tensor.view(())
            return coefficient, {}
        weight = model.log_ent_coef
        ent_coef: Tensor = weight.detach().exp().view(())
        slope = log_prob.mean().add_(model.target_entropy).neg_()
        loss = weight.detach()[0] * slope
        weight.grad.copy_(slope)
        self._take("entropy")
        return ent_coef, {"ent_coef_loss": loss}

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
        self._actor_graph = None if self._graph is None else self._graph.make_another()

    def _list_features(self) -> Sequence[FeatureLayer]:
        return *super()._list_features(), self._actor.features, self._actor_target.features

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"actor": self.model.actor.optimizer, "critic": self.model.critic.optimizer}

    def average_over(self, group: RankGroup) -> None:
        """See :meth:`TorchUpdate.average_over`."""
        super().average_over(group)
        self._actor_graph = None

    def _learn(self, sample: Any, place: int, logged: Logged) -> None:
        model, bound = self.model, self.model.target_noise_clip
        noise = torch.empty_like(sample.actions).normal_(0, model.target_policy_noise).clamp_(-bound, bound)
        found = self._run(self._graph, self._take_critic_step, sample, {"next_actions": noise}, ["critic_loss"])
        _add_to(logged, found)
        if (get_num_updates(model) + place + 1) % model.policy_delay:
            return
        _add_to(logged, self._run(self._actor_graph, self._take_actor_step, sample, {}, ["actor_loss"]))
        for target in self._targets:
            target.follow(model.tau)

    def _take_critic_step(self, sample: Any, noise: Tensors) -> dict[str, Tensor]:
        """:return: what is logged"""
        next_actions = noise["next_actions"] + self._actor_target.forward(sample.next_observations)
        outputs = self._critic_target.forward(sample.next_observations, next_actions.clamp_(-1, 1))
        targets = self._compute_targets(sample, outputs.amin(0))
        errors = self._critic.forward(sample.observations, sample.actions) - targets
        loss = errors.square().mean(1).sum()
        self._critic.backward(errors.mul_(2 / errors.shape[1]))
        self._take("critic")
        return {"critic_loss": loss}

    def _take_actor_step(self, sample: Any, _noise: Tensors) -> dict[str, Tensor]:
        """:return: what is logged"""
        observations = sample.observations
        values = self._critic.forward(observations, self._actor.forward(observations), only_first=True)
        loss = values.mean().neg_()
        self._actor.backward(self._critic.backward_to_actions(torch.full_like(values, -1 / values.numel())))
        self._take("actor")
        return {"actor_loss": loss}


def _add_to(logged: Logged, found: dict[str, Tensor]) -> None:
    for name, value in found.items():
        logged.setdefault(name, []).append(value)
