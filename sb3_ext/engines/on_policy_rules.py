"""The policies, settings and logs of PPO, MaskablePPO and A2C, which are the same in every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.utils import explained_variance

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.internals.sb3 import add_updates, get_num_updates, get_progress_remaining, has_evaluation_of


@dataclass(frozen=True)
class OnPolicySettings:
    """
    Settings of an update.

    :param epochs: number of epochs over all rows
    :param batch_size: rows of a minibatch
    :param numbers: coefficients of the loss, by name
    :param clips_values: whether ``clip_range_vf`` bounds the change of the values
    :param normalizes: whether advantages are normalised
    :param stops: whether the update ends early when the KL divergence exceeds the limit set by ``target_kl``
    """

    epochs: int
    batch_size: int
    numbers: dict[str, np.float32]
    clips_values: bool = False
    normalizes: bool = False
    stops: bool = False


class PPORules:
    """Settings and logs of PPO and MaskablePPO."""

    model: Any

    def _make_settings(self) -> OnPolicySettings:
        """:return: settings of the next update"""
        model = self.model
        progress = get_progress_remaining(model)
        numbers = {
            "ent_coef": model.ent_coef,
            "vf_coef": model.vf_coef,
            "max_grad_norm": model.max_grad_norm,
            "clip_range": model.clip_range(progress),
            "clip_range_vf": 0.0 if model.clip_range_vf is None else model.clip_range_vf(progress),
            "target_kl": model.target_kl or 0.0,
        }
        return OnPolicySettings(
            model.n_epochs,
            model.batch_size,
            {name: np.float32(value) for name, value in numbers.items()},
            clips_values=model.clip_range_vf is not None,
            normalizes=model.normalize_advantage,
            stops=model.target_kl is not None,
        )

    def _finish(self, settings: OnPolicySettings, statistics: dict[str, NDArray[np.float32]]) -> None:
        """Count and log; the statistics have the shape (epochs, minibatches)."""
        model, record = self.model, self.model.logger.record
        seen = statistics["is_seen"].astype(bool)
        epochs = int(seen.any(axis=1).sum())
        last_divergences = statistics["approx_kl"][epochs - 1][seen[epochs - 1]]
        if model.verbose >= 1 and not statistics["is_applied"].all():
            print(f"Early stopping at step {epochs - 1} due to reaching max kl: {last_divergences[-1]:.2f}")
        add_updates(model, epochs)
        for name in ("entropy_loss", "value_loss", "clip_fraction"):
            record(f"train/{name}", np.mean(statistics[name][seen]))
        record("train/policy_gradient_loss", np.mean(statistics["policy_loss"][seen]))
        record("train/approx_kl", np.mean(last_divergences))
        record("train/loss", statistics["loss"][seen][-1].item())
        record("train/clip_range", settings.numbers["clip_range"].item())
        if settings.clips_values:
            record("train/clip_range_vf", settings.numbers["clip_range_vf"].item())
        _log_end(model)


class A2CRules:
    """Settings and logs of A2C."""

    model: Any

    def _make_settings(self) -> OnPolicySettings:
        """:return: settings of the next update"""
        model = self.model
        numbers = {name: np.float32(getattr(model, name)) for name in ("ent_coef", "vf_coef", "max_grad_norm")}
        size = model.rollout_buffer.buffer_size * model.n_envs
        return OnPolicySettings(1, size, numbers, normalizes=model.normalize_advantage)

    def _finish(self, settings: OnPolicySettings, statistics: dict[str, NDArray[np.float32]]) -> None:
        """Count and log; the statistics have the shape (1, 1)."""
        add_updates(self.model, 1)
        for name in ("entropy_loss", "policy_loss", "value_loss"):
            self.model.logger.record(f"train/{name}", statistics[name].item())
        _log_end(self.model)


def _log_end(model: Any) -> None:
    """Log the values that all on-policy algorithms log."""
    buffer = model.rollout_buffer
    explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
    model.logger.record("train/explained_variance", explained)
    if hasattr(model.policy, "log_std"):
        model.logger.record("train/std", model.policy.log_std.detach().exp().mean().item())
    model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")


def validate_policy(policy: Any) -> None:
    """
    Check that a policy evaluates actions as SB3's policies do.

    :param policy: policy of PPO, MaskablePPO or A2C
    :raises NotCovered: if it uses gSDE, or overrides how stock policies evaluate actions
    """
    if getattr(policy, "use_sde", False):  # maskable policies have no such attribute
        raise NotCovered("exploration is state-dependent (use_sde)")
    stock = MaskableActorCriticPolicy if isinstance(policy, MaskableActorCriticPolicy) else ActorCriticPolicy
    if not has_evaluation_of(type(policy), stock):
        raise NotCovered(f"the policy is a {name_type(policy)}, which evaluates actions in its own way")
    if type(policy.mlp_extractor) is not MlpExtractor:
        raise NotCovered(f"the policy has a {name_type(policy.mlp_extractor)}")
