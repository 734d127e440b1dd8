"""The updates of PPO, MaskablePPO and A2C."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_ext.engines.on_policy_rules import A2CRules, OnPolicySettings, PPORules, validate_policy
from sb3_ext.engines.xla.distributions import make_evaluation
from sb3_ext.engines.xla.jax_runtime import compile_program, to_numpy
from sb3_ext.engines.xla.layers import translate
from sb3_ext.engines.xla.losses import clip_gradient
from sb3_ext.engines.xla.optimizers import FlatOptimizer, make_flat_optimizer
from sb3_ext.engines.xla.preprocessing import translate_extractor
from sb3_ext.engines.xla.rollouts import RolloutEpochs
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.engines.xla.xla_update import XlaUpdate
from sb3_ext.internals.sb3 import (
    update_learning_rate,
)

_STATISTICS = (
    "policy_loss",
    "value_loss",
    "entropy_loss",
    "loss",
    "approx_kl",
    "clip_fraction",
    "is_seen",
    "is_applied",
)


_STATIC = ("batch_size", "clips_values", "normalizes", "stops")
"""Settings for which a program is compiled."""


class PolicyGradientUpdate(XlaUpdate):
    """
    Base class of updates of on-policy algorithms.

    :param model: a PPO, MaskablePPO or A2C model
    :raises NotCovered: if its policy or optimizer is not supported
    """

    #: whether a minibatch of one row is not normalised; normalising it results in NaN
    keeps_single_advantages: ClassVar[bool] = False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._optimizer = make_flat_optimizer(model.policy.optimizer)
        self._evaluate = translate_policy(model.policy, self._optimizer.group)
        self._epochs = RolloutEpochs(model.rollout_buffer)
        self._coefficients: SharedArray | None = None
        self._numbers = SharedArray((len(self._make_settings().numbers),))
        self._program = compile_program(self._update, ("names", *_STATIC))

    def __call__(self) -> None:
        """Update the model from its rollout buffer, and log what ``train`` logs."""
        model = self.model
        self._set_training_mode()
        update_learning_rate(model, model.policy.optimizer)
        settings = self._make_settings()
        if self._epochs.buffer is not model.rollout_buffer:
            self._epochs = RolloutEpochs(model.rollout_buffer)
        self._epochs.draw(settings.epochs, can_rewind=settings.stops)
        statistics = self._learn(settings)
        if not statistics["is_applied"].all():
            seen = statistics["is_seen"].sum(axis=1).astype(int)
            last = int(seen.nonzero()[0][-1])
            self._epochs.rewind(last, settings.batch_size, int(seen[last]))
        self._finish(settings, statistics)

    def _try(self) -> int:
        settings = self._make_settings()
        self._epochs.take(settings.epochs)
        return self._learn(settings)["loss"].size

    def _list_changed(self) -> Iterable[FlatOptimizer | TensorGroup]:
        return [self._optimizer]

    def _learn(self, settings: OnPolicySettings) -> dict[str, NDArray[np.float32]]:
        """:return: statistics by name, each of shape (epochs, minibatches)"""
        optimizer = self._optimizer
        rows, orders = self._epochs.arrays
        shape = settings.epochs, -(-orders.shape[1] // settings.batch_size), optimizer.num_coefficients
        if self._coefficients is None or self._coefficients.numpy.shape != shape:
            self._coefficients = SharedArray(shape)
        buffers, step = optimizer.read()
        optimizer.write_coefficients(step, self._coefficients.numpy.reshape(-1, shape[2]))
        self._numbers.numpy[:] = (*settings.numbers.values(),)
        weights, buffers, found = self._program(
            optimizer.group.values.array,
            buffers,
            self._coefficients.array,
            rows,
            orders,
            self._numbers.array,
            names=tuple(settings.numbers),
            **{name: getattr(settings, name) for name in _STATIC},
        )
        table = to_numpy(found)
        statistics = {name: table[:, :, place] for place, name in enumerate(_STATISTICS)}
        applied = int(statistics["is_applied"].sum())
        if applied:
            optimizer.write(weights, buffers, step + applied)
        return statistics

    @abstractmethod
    def _make_settings(self) -> OnPolicySettings:
        """:return: settings of the next update"""

    @abstractmethod
    def _compute_policy_loss(self, advantages: Any, log_prob: Any, old_log_prob: Any, numbers: Any) -> dict[str, Any]:
        """:return: ``policy_loss``, ``approx_kl`` and ``clip_fraction``"""

    @abstractmethod
    def _finish(self, settings: OnPolicySettings, statistics: dict[str, NDArray[np.float32]]) -> None:
        """Count and log; the statistics have the shape (epochs, minibatches)."""

    def _update(
        self,
        weights: Any,
        buffers: Any,
        coefficients: Any,
        rows: Any,
        orders: Any,
        numbers: Any,
        *,
        names: tuple[str, ...],
        batch_size: int,
        clips_values: bool,
        normalizes: bool,
        stops: bool,
    ) -> tuple[Any, Any, Any]:
        group, optimizer = self._optimizer.group, self._optimizer
        numbers = dict(zip(names, numbers, strict=True))

        def compute_loss(parts: Parameters, batch: Any) -> tuple[Any, dict[str, Any]]:
            return self._compute_loss(parts, batch, numbers, clips_values, normalizes)

        def learn(carry: Any, step: Any) -> tuple[Any, Any]:
            weights, buffers, is_going = carry
            places, row = step
            batch = jax.tree.map(lambda values: values[places], rows)
            (_loss, statistics), gradients = jax.value_and_grad(compute_loss, has_aux=True)(
                group.unflatten(weights), batch
            )
            gradient = clip_gradient(group.flatten(gradients), numbers["max_grad_norm"])
            is_applied = is_going
            if stops:
                is_applied = is_going & ~(statistics["approx_kl"] > 1.5 * numbers["target_kl"])
            after = optimizer.update(weights, gradient, buffers, row)
            if stops:
                after = jax.tree.map(lambda new, old: jnp.where(is_applied, new, old), after, (weights, buffers))
            statistics |= {"is_seen": is_going, "is_applied": is_applied}
            found = jnp.stack([statistics[name].astype(jnp.float32) for name in _STATISTICS])
            return (*after, is_applied), found

        def skip(carry: Any, _step: Any) -> tuple[Any, Any]:
            return carry, jnp.zeros(len(_STATISTICS), jnp.float32)

        def learn_unless_stopped(carry: Any, step: Any) -> tuple[Any, Any]:
            return jax.lax.cond(carry[2], learn, skip, carry, step) if stops else learn(carry, step)

        def run_epoch(carry: Any, epoch: Any) -> tuple[Any, Any]:
            order, table = epoch
            count = len(order) // batch_size
            whole = order[: count * batch_size].reshape(count, batch_size)
            carry, found = jax.lax.scan(learn_unless_stopped, carry, (whole, table[:count]))
            if len(order) % batch_size:
                carry, last = learn_unless_stopped(carry, (order[count * batch_size :], table[count]))
                found = jnp.concatenate([found, last[None]])
            return carry, found

        start = (weights, buffers, jnp.array(True))
        (weights, buffers, _is_going), found = jax.lax.scan(run_epoch, start, (orders, coefficients))
        return weights, buffers, found

    def _compute_loss(
        self, parts: Parameters, batch: Any, numbers: Any, clips_values: bool, normalizes: bool
    ) -> tuple[Any, dict[str, Any]]:
        values, log_prob, entropy = self._evaluate(parts, batch)
        advantages = batch["advantages"]
        if normalizes and (len(advantages) > 1 or not self.keeps_single_advantages):
            advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
        statistics = self._compute_policy_loss(advantages, log_prob, batch["old_log_prob"], numbers)
        if clips_values:
            change, bound = values - batch["old_values"], numbers["clip_range_vf"]
            values = batch["old_values"] + jnp.clip(change, -bound, bound)
        statistics["value_loss"] = ((batch["returns"] - values) ** 2).mean()
        statistics["entropy_loss"] = -entropy.mean()
        loss = (
            statistics["policy_loss"]
            + numbers["ent_coef"] * statistics["entropy_loss"]
            + numbers["vf_coef"] * statistics["value_loss"]
        )
        return loss, {**statistics, "loss": loss}


class MaskablePPOUpdate(PPORules, PolicyGradientUpdate):
    """Replacement of MaskablePPO's ``train``."""

    algorithms: ClassVar[tuple[type[Any], ...]] = (MaskablePPO,)

    def _compute_policy_loss(self, advantages: Any, log_prob: Any, old_log_prob: Any, numbers: Any) -> dict[str, Any]:
        clip_range = numbers["clip_range"]
        log_ratio = log_prob - old_log_prob
        ratio = jnp.exp(log_ratio)
        clipped = jnp.clip(ratio, 1 - clip_range, 1 + clip_range)
        return {
            "policy_loss": -jnp.minimum(advantages * ratio, advantages * clipped).mean(),
            "approx_kl": ((ratio - 1) - log_ratio).mean(),
            "clip_fraction": (jnp.abs(ratio - 1) > clip_range).mean(),
        }


class PPOUpdate(MaskablePPOUpdate):
    """Replacement of PPO's ``train``."""

    algorithms = (PPO,)
    keeps_single_advantages = True


class A2CUpdate(A2CRules, PolicyGradientUpdate):
    """Replacement of A2C's ``train``."""

    algorithms = (A2C,)

    def _compute_policy_loss(self, advantages: Any, log_prob: Any, _old_log_prob: Any, _numbers: Any) -> dict[str, Any]:
        zero = jnp.zeros(())
        return {"policy_loss": -(advantages * log_prob).mean(), "approx_kl": zero, "clip_fraction": zero}


def translate_policy(policy: ActorCriticPolicy, group: TensorGroup) -> Any:
    """
    Translate ``evaluate_actions`` of a policy to a function of JAX arrays.

    :param policy: policy of PPO, MaskablePPO or A2C
    :param group: group of its parameters
    :return: function from parameters and rows to values, log-probabilities and entropies, each of shape (batch,)
    :raises NotCovered: if the policy uses gSDE, or overrides how stock policies evaluate actions
    """
    validate_policy(policy)
    extractor = policy.mlp_extractor
    extract_pi = translate_extractor(policy, policy.pi_features_extractor, group)
    extract_vf = translate_extractor(policy, policy.vf_features_extractor, group)
    policy_net, value_net = translate(extractor.policy_net, group), translate(extractor.value_net, group)
    action_layer, value_layer = translate(policy.action_net, group), translate(policy.value_net, group)
    log_std = getattr(policy, "log_std", None)
    place = None if log_std is None else group.find_place(log_std)
    evaluate = make_evaluation(policy.action_dist, lambda parameters: parameters[place])
    is_shared = policy.share_features_extractor

    def apply(parameters: Parameters, batch: Any) -> tuple[Any, Any, Any]:
        features_pi = extract_pi(parameters, batch["observations"])
        features_vf = features_pi if is_shared else extract_vf(parameters, batch["observations"])
        outputs = action_layer(parameters, policy_net(parameters, features_pi))
        values = value_layer(parameters, value_net(parameters, features_vf))[:, 0]
        log_prob, entropy = evaluate(parameters, outputs, batch["actions"], batch.get("action_masks"))
        return values, log_prob, entropy

    return apply
